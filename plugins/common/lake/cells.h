/*
 * Cells that JSON lines and CSV have in common: numbers, and values of fixed width whose text JSON
 * puts between quotes.
 */
#ifndef SLUICE_COMMON_LAKE_CELLS_H
#define SLUICE_COMMON_LAKE_CELLS_H

#include "lake/encoder.h"

/* sluice_lake_cell.flags beside those of times.h */
enum {
    SLUICE_LAKE_CELL_QUOTE = 256,      /* between double quotes */
    SLUICE_LAKE_CELL_QUOTE_WORDS = 512 /* only NaN and infinities are */
};

/* Chooses fn and bound for a type of fixed width; *found = 0 and nothing done for other types. */
sluice_status sluice_lake_fixed_cell(const struct ArrowSchema *field,
                                     const struct sluice_type *type, int32_t format,
                                     struct sluice_lake_cell *cell, int32_t *found,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_LAKE_CELLS_H */
