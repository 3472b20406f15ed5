#include "s3/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <string.h>

#include "s3/s3.h"

const struct sluice_s3_checksum_kind *sluice_s3_checksum_facts(int kind)
{
    static const struct sluice_s3_checksum_kind crc32c = {"x-amz-checksum-crc32c", "CRC32C",
                                                          "ChecksumCRC32C"};
    static const struct sluice_s3_checksum_kind sha256 = {"x-amz-checksum-sha256", "SHA256",
                                                          "ChecksumSHA256"};
    static const struct sluice_s3_checksum_kind md5 = {"Content-MD5", NULL, NULL};
    switch (kind) {
    case SLUICE_S3_CHECKSUM_CRC32C:
        return &crc32c;
    case SLUICE_S3_CHECKSUM_SHA256:
        return &sha256;
    case SLUICE_S3_CHECKSUM_MD5:
        return &md5;
    default:
        return NULL;
    }
}

static uint32_t crc32c(const uint8_t *data, uint64_t size)
{
    uint32_t crc = 0xffffffffu;
    while (size > 0) {
        const int piece = size > (1 << 30) ? 1 << 30 : (int)size;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)data, piece, crc);
        data += piece;
        size -= (uint64_t)piece;
    }
    return crc ^ 0xffffffffu;
}

sluice_status sluice_s3_checksum_text(int kind, const void *data, uint64_t size,
                                      char out[SLUICE_S3_CHECKSUM_TEXT_SIZE],
                                      struct sluice_error *err)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned int sum_size = 0;
    if (kind == SLUICE_S3_CHECKSUM_CRC32C) {
        const uint32_t crc = crc32c(data, size);
        for (unsigned int i = 0; i < 4; i++) {
            sum[i] = (uint8_t)(crc >> (24 - 8 * i));
        }
        sum_size = 4;
    }
    else {
        const EVP_MD *md = kind == SLUICE_S3_CHECKSUM_SHA256 ? EVP_sha256() : EVP_md5();
        if (EVP_Digest(size > 0 ? data : "", (size_t)size, sum, &sum_size, md, NULL) != 1) {
            return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                    "checksum: OpenSSL does not offer it here (FIPS mode?); choose"
                                    " another `checksum`");
        }
    }
    (void)EVP_EncodeBlock((unsigned char *)out, sum, (int)sum_size);
    return SLUICE_OK;
}
