/* TFRecord is the frame around each event of an event file: the length as 8 bytes, its checksum, the data, its
 * checksum; all little end first. A checksum c is CRC-32C (Castagnoli), masked so that checksums of data that holds
 * checksums stay good: (c >> 15 | c << 17) + 0xa282ead8. */
#ifndef REPORT_TFRECORD_H
#define REPORT_TFRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TFRECORD_HEAD_SIZE = 12, TFRECORD_TAIL_SIZE = 4 };

uint32_t tfrecord_checksum(const void *data, size_t size);

/* Writes one frame and does not flush. Returns false with errno where the file cannot take it. */
bool tfrecord_write(FILE *file, const void *data, size_t size);

#endif
