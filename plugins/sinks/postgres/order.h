/*
 * In which order tables are written, so that foreign keys hold: parents before their children. [lane]
 */
#ifndef SLUICE_PGSINK_ORDER_H
#define SLUICE_PGSINK_ORDER_H

#include "changes.h"

struct sluice_pgsink_order;

/* Makes the order for the tables of the log, unless *order is already of these; defers constraints that can
 * be, if some tables refer to each other in a circle. In the transaction at hand. */
sluice_status sluice_pgsink_order_ready(struct sluice_pgsink_lane *lane,
                                        struct sluice_pgsink_order **order,
                                        struct sluice_error *err);
/* Indexes into log.tables, parents first. */
const uint32_t *sluice_pgsink_order_of(const struct sluice_pgsink_order *order);
void sluice_pgsink_order_free(struct sluice_pgsink_order *order);

#endif /* SLUICE_PGSINK_ORDER_H */
