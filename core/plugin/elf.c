/* A look at the ELF header, because the dynamic linker's own words are hard to act on, and because
 * a truncated file that it maps kills the process. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "plugin/plugin_internal.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_DATA ELFDATA2LSB
#else
#define OWN_DATA ELFDATA2MSB
#endif

static int read_at(int fd, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return 0;
        }
        done += (size_t)n;
    }
    return 1;
}

/* The machine this process runs on, as its own file says; 0 = unknown. */
static unsigned own_machine(void)
{
    Elf64_Ehdr header;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    int ok = read_at(fd, &header, sizeof header, 0);
    (void)close(fd);
    return ok ? header.e_machine : 0;
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "aarch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390x";
    case EM_RISCV:
        return "riscv";
    default:
        return "another machine";
    }
}

static sluice_status identity_check(const unsigned char *ident, struct sluice_error *err)
{
    if (memcmp(ident, ELFMAG, SELFMAG) != 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "is not a shared object (no ELF header): build it with the sluice "
                                "SDK, or remove it from the plugin folder");
    }
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != OWN_DATA) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "is built for a machine of another word size or byte order; this "
                                "engine takes 64-bit plugins of its own byte order: rebuild it");
    }
    return SLUICE_OK;
}

/* [offset, offset + size) within the file. */
static int inside(uint64_t offset, uint64_t size, uint64_t file_size)
{
    return offset <= file_size && size <= file_size - offset;
}

static sluice_status segments_check(int fd, const Elf64_Ehdr *header, uint64_t size,
                                    struct sluice_error *err)
{
    uint64_t sections = (uint64_t)header->e_shnum * header->e_shentsize;
    uint64_t segments = (uint64_t)header->e_phnum * header->e_phentsize;
    int whole = inside(header->e_shoff, sections, size) && inside(header->e_phoff, segments, size);
    if (header->e_phnum == 0 || header->e_phentsize != sizeof(Elf64_Phdr)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "is damaged (no program headers): build or copy it again");
    }
    for (unsigned i = 0; whole && i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        whole = read_at(fd, &segment, sizeof segment, header->e_phoff + i * sizeof segment) &&
                (segment.p_type != PT_LOAD || inside(segment.p_offset, segment.p_filesz, size));
    }
    if (!whole) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "is cut off: it has %" PRIu64 " bytes, its headers speak of more; copy it again", size);
    }
    return SLUICE_OK;
}

sluice_status sluice_plugin_elf_check(int fd, uint64_t size, struct sluice_error *err)
{
    Elf64_Ehdr header;
    memset(&header, 0, sizeof header);
    size_t head = size < sizeof header ? (size_t)size : sizeof header;
    if (size == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "is empty: copy it again");
    }
    if (!read_at(fd, &header, head, 0)) {
        return sluice_error_errno(err, errno != 0 ? errno : EIO, "cannot read it");
    }
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && head < sizeof header) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "is cut off within its header: copy it again");
    }
    SLUICE_TRY(identity_check(header.e_ident, err));
    unsigned own = own_machine();
    if (own != 0 && header.e_machine != own) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "is built for %s (machine %u); this engine runs on %s (%u): rebuild "
            "it for this machine",
            machine_name(header.e_machine), (unsigned)header.e_machine, machine_name(own), own);
    }
    if (header.e_type != ET_DYN) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "is an ELF file but no shared object (type %u): link it with -shared",
            (unsigned)header.e_type);
    }
    return segments_check(fd, &header, size, err);
}
