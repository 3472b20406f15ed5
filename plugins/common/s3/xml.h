/*
 * The little XML that S3 answers with, read without a library and without trust: no DTD, depth,
 * name and text capped, no recursion. [any]
 */
#ifndef SLUICE_COMMON_S3_XML_H
#define SLUICE_COMMON_S3_XML_H

#include "s3/buf.h"

#define SLUICE_S3_XML_DEPTH_MAX 16
#define SLUICE_S3_XML_NAME_MAX 64
#define SLUICE_S3_XML_TEXT_MAX \
    16384 /* of one element; keys are at most 1,024 bytes, tokens 10 KiB */

enum { SLUICE_S3_XML_ENTER = 1, SLUICE_S3_XML_LEAVE = 2 };

/* ENTER at a start tag; LEAVE at its end tag with the decoded text of an element without children
 * ("" else). `depth` is 1 for the root. Names come without a namespace prefix. END stops the walk. */
typedef sluice_status (*sluice_s3_xml_visit)(void *vctx, int event, uint32_t depth,
                                             const char *name, const char *text, size_t text_size);

/* DATA: not well-formed, or over a cap. */
sluice_status sluice_s3_xml_walk(const char *data, size_t size, sluice_s3_xml_visit visit,
                                 void *vctx, struct sluice_error *err) SLUICE_MUST_CHECK;

/* Copies the text of the first element `name` below the root into `to`, cut there; false when there
 * is none or the document is broken before it. */
bool sluice_s3_xml_find(const char *data, size_t size, const char *name, char *to, size_t to_size);
/* The name of the root element; false when there is none. */
bool sluice_s3_xml_root(const char *data, size_t size, char *to, size_t to_size);
/* Whether the document is whole. */
bool sluice_s3_xml_valid(const char *data, size_t size);

#endif /* SLUICE_COMMON_S3_XML_H */
