/* Unit tests of core/plugin. */
#include "test_plugin.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *temp_folder_make(void)
{
    char pattern[] = "/tmp/sluice-plugin-XXXXXX";
    char *made = mkdtemp(pattern);
    assert_non_null(made);
    char *copy = malloc(sizeof pattern);
    assert_non_null(copy);
    memcpy(copy, pattern, sizeof pattern);
    return copy;
}

void temp_folder_remove(char *folder)
{
    char path[1024];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *d = NULL; (d = readdir(dir)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
}

void file_write(const char *folder, const char *name, const void *data, size_t size)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path); /* never into a file that may be loaded */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(close(fd), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

const char *module_copy(const char *folder, const char *module, const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s.so", MODULE_DIR, module);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long size = ftell(in);
    assert_true(size > 0);
    rewind(in);
    char *data = malloc((size_t)size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, in), (size_t)size);
    (void)fclose(in);
    file_write(folder, name, data, (size_t)size);
    free(data);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

int main(void)
{
    return run_file_tests() + run_descriptor_tests() + run_host_tests();
}
