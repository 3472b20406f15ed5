/*
 * Runs a fuzz target over the files of a folder without a fuzzer: each as it is, cut at each place,
 * and with each byte changed in a few ways. For compilers without libFuzzer, and for every test run.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16 };

/* In memory of its exact size, so that a read past the end is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(uint8_t *data, size_t size)
{
    static const uint8_t changes[] = {0x01, 0x02, 0x10, 0x20, 0x40, 0x80, 0xff};
    run(data, size);
    for (size_t i = 0; i < size; i++) {
        run(data, i);
        uint8_t old = data[i];
        for (size_t k = 0; k < sizeof changes; k++) {
            data[i] = old ^ changes[k];
            run(data, size);
        }
        data[i] = old;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    char path[1024];
    int files = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        FILE *file = fopen(path, "rb");
        if (file == NULL) {
            (void)fprintf(stderr, "%s cannot be read\n", path);
            return 2;
        }
        size_t size = fread(data, 1, sizeof data, file);
        (void)fclose(file);
        run_variants(data, size);
        files++;
    }
    (void)closedir(dir);
    (void)printf("%d files\n", files);
    return files == 0;
}
