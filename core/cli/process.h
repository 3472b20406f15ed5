/*
 * What is global to the process, and therefore nobody's but the program's: descriptors 0 to 2,
 * SIGPIPE, locale, umask, core dumps. Plugins never touch it.
 */
#ifndef SLUICE_CLI_PROCESS_H
#define SLUICE_CLI_PROCESS_H

/* Call once, before any thread. With allow_core, core dumps and debuggers stay allowed: they hold
 * passwords. */
void sluice_process_setup(int allow_core);

#endif /* SLUICE_CLI_PROCESS_H */
