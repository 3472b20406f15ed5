/* Shared by the tests of core/plugin. */
#ifndef TESTS_UNIT_PLUGIN_TEST_PLUGIN_H
#define TESTS_UNIT_PLUGIN_TEST_PLUGIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "plugin/registry.h"

/* A temporary folder, removed with what is in it. */
char *temp_folder_make(void);
void temp_folder_remove(char *folder);
/* Copies a built module into the folder under that name; returns the path (static buffer). */
const char *module_copy(const char *folder, const char *module, const char *name);
void file_write(const char *folder, const char *name, const void *data, size_t size);

int run_file_tests(void);
int run_descriptor_tests(void);
int run_host_tests(void);

#endif /* TESTS_UNIT_PLUGIN_TEST_PLUGIN_H */
