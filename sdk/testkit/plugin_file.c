/* Plugin files: loading them, and which symbols they export. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "testkit.h"

#define FILE_MAX (256 << 20)

const struct sluice_plugin *sluice_testkit_load(const char *path, struct sluice_error *err)
{
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (file == NULL) {
        (void)sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "%s", dlerror());
        return NULL;
    }
    /* POSIX lets a function pointer come out of dlsym; ISO C has no cast for it. */
    union {
        void *object;
        sluice_plugin_entry_fn function;
    } entry;
    entry.object = dlsym(file, SLUICE_PLUGIN_ENTRY);
    if (entry.object == NULL) {
        (void)sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "%s: no symbol %s", path,
                               SLUICE_PLUGIN_ENTRY);
        return NULL;
    }
    const struct sluice_plugin *plugin = entry.function();
    if (plugin == NULL || plugin->magic != SLUICE_PLUGIN_MAGIC ||
        plugin->abi_major != SLUICE_ABI_MAJOR) {
        (void)sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "%s: not a plugin of ABI major %u",
                               path, SLUICE_ABI_MAJOR);
        return NULL;
    }
    return plugin;
}

const struct sluice_component *sluice_testkit_component(const struct sluice_plugin *plugin,
                                                        const char *name)
{
    if (name == NULL) {
        return plugin->component_count == 1 ? plugin->components[0] : NULL;
    }
    for (uint32_t i = 0; i < plugin->component_count; i++) {
        if (strcmp(plugin->components[i]->name, name) == 0) {
            return plugin->components[i];
        }
    }
    return NULL;
}

/* The whole file in memory; free with free(). */
static uint8_t *read_file(const char *path, uint64_t *size, struct sluice_error *err)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    if (f == NULL) {
        (void)sluice_error_errno(err, errno, "%s", path);
        return NULL;
    }
    if (fseek(f, 0, SEEK_END) == 0) {
        long n = ftell(f);
        if (n > 0 && n < FILE_MAX && fseek(f, 0, SEEK_SET) == 0) {
            data = malloc((size_t)n);
            *size = (uint64_t)n;
            if (data != NULL && fread(data, 1, (size_t)n, f) != (size_t)n) {
                free(data);
                data = NULL;
            }
        }
    }
    (void)fclose(f);
    if (data == NULL) {
        (void)sluice_error_set(err, SLUICE_E_IO, 0, "%s: cannot be read", path);
    }
    return data;
}

/* `count` things of `each` bytes at `from` lie within the file. */
static int within(uint64_t size, uint64_t from, uint64_t count, uint64_t each)
{
    return from <= size && (each == 0 || count <= (size - from) / each);
}

static sluice_status add_name(const uint8_t *strings, uint64_t strings_size, uint32_t name,
                              char *out, uint64_t cap, uint64_t *used, struct sluice_error *err)
{
    uint64_t n = name < strings_size ? strnlen((const char *)strings + name, strings_size - name)
                                     : strings_size;
    if (name >= strings_size || *used + n + 2 > cap) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "symbol table is damaged or too long");
    }
    memcpy(out + *used, strings + name, n);
    out[*used + n] = '\n';
    *used += n + 1;
    out[*used] = '\0';
    return SLUICE_OK;
}

sluice_status sluice_testkit_exports(const char *path, char *out, uint64_t cap,
                                     struct sluice_error *err)
{
    uint64_t size = 0;
    uint64_t used = 0;
    uint8_t *data = read_file(path, &size, err);
    sluice_status st = SLUICE_OK;
    if (data == NULL) {
        return SLUICE_E_IO;
    }
    Elf64_Ehdr eh;
    out[0] = '\0';
    if (size < sizeof eh || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_CLASS] != ELFCLASS64) {
        st = sluice_error_set(err, SLUICE_E_DATA, 0, "%s: not a 64-bit ELF file", path);
        goto out;
    }
    memcpy(&eh, data, sizeof eh);
    if (!within(size, eh.e_shoff, eh.e_shnum, sizeof(Elf64_Shdr))) {
        st = sluice_error_set(err, SLUICE_E_DATA, 0, "%s: section table is damaged", path);
        goto out;
    }
    for (uint32_t i = 0; i < eh.e_shnum && st >= 0; i++) {
        Elf64_Shdr table;
        Elf64_Shdr names;
        memcpy(&table, data + eh.e_shoff + i * sizeof table, sizeof table);
        if (table.sh_type != SHT_DYNSYM) {
            continue;
        }
        if (table.sh_link >= eh.e_shnum || !within(size, table.sh_offset, table.sh_size, 1)) {
            st = sluice_error_set(err, SLUICE_E_DATA, 0, "%s: symbol table is damaged", path);
            break;
        }
        memcpy(&names, data + eh.e_shoff + table.sh_link * sizeof names, sizeof names);
        if (!within(size, names.sh_offset, names.sh_size, 1)) {
            st = sluice_error_set(err, SLUICE_E_DATA, 0, "%s: string table is damaged", path);
            break;
        }
        for (uint64_t k = 0; k < table.sh_size / sizeof(Elf64_Sym) && st >= 0; k++) {
            Elf64_Sym symbol;
            memcpy(&symbol, data + table.sh_offset + k * sizeof symbol, sizeof symbol);
            if (symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS &&
                ELF64_ST_BIND(symbol.st_info) != STB_LOCAL) {
                st = add_name(data + names.sh_offset, names.sh_size, symbol.st_name, out, cap,
                              &used, err);
            }
        }
    }
out:
    free(data);
    return st;
}
