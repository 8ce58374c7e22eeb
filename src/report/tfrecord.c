/* Writes TFRecord frames with their CRC-32C checksums. */
#include "report/tfrecord.h"

#include <errno.h>

/* The table works on four bits at a time, because event files are small. Entry i is the remainder of i after four steps
 * of division by the reversed polynomial 0x82f63b78. */
static const uint32_t remainders[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t tfrecord_checksum(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ remainders[crc & 15];
        crc = crc >> 4 ^ remainders[crc & 15];
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void put_little_endian(uint8_t *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++) bytes[i] = (uint8_t)(value >> 8 * i);
}

bool tfrecord_write(FILE *file, const void *data, size_t size)
{
    uint8_t head[TFRECORD_HEAD_SIZE], tail[TFRECORD_TAIL_SIZE];
    put_little_endian(head, size, 8);
    put_little_endian(head + 8, tfrecord_checksum(head, 8), 4);
    put_little_endian(tail, tfrecord_checksum(data, size), 4);
    errno = 0;
    return fwrite(head, sizeof head, 1, file) == 1 && fwrite(data, 1, size, file) == size &&
           fwrite(tail, sizeof tail, 1, file) == 1;
}
