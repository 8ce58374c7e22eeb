/* Reads files from front to back, plain or packed with gzip. zlib's gzread does not do for that. It takes a file whose
 * checksum is cut off for a complete one where the last read ends exactly with the data, and it skips garbage after the
 * compressed stream. */
#include "data_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/check.h"
#include "util/file_regular.h"
#include "util/memory.h"

enum {
    BUFFER_SIZE = 1 << 16,
    INFLATE_GZIP_ONLY = 16 + MAX_WBITS, /* zlib: expect a gzip header, largest window */
    INFLATE_PIECE = 1 << 30,            /* zlib counts in unsigned int */
};

char *data_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    bool separated = length == 0 || folder[length - 1] == '/';
    return memory_format("%s%s%s", folder, separated ? "" : "/", name);
}

bool data_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool data_folder_fail(const char *path, const char *expected, const char *way_out, struct status *status)
{
    if (data_path_exists(path))
        return status_fail(status, STATUS_RUNTIME, "%s: is a file, expected the folder that holds %s", path, expected);
    if (*path == '~')
        return status_fail(status, STATUS_RUNTIME,
                           "%s: no such folder: ~ stands for the home folder only where a shell replaces it, expected "
                           "the path in full",
                           path);
    return status_fail(status, STATUS_RUNTIME, "%s: no such folder, expected %s there: %s", path, expected, way_out);
}

static bool start_unpacking(struct data_stream *stream, struct status *status)
{
    int result = inflateInit2(&stream->inflater, INFLATE_GZIP_ONLY);
    if (result != Z_OK)
        return status_fail(status, STATUS_RUNTIME, "%s: cannot unpack: %s", stream->path, zError(result));
    stream->buffer = memory_alloc(BUFFER_SIZE, 1);
    return stream->packed = true;
}

/* Tells whether the file begins like a gzip file, and leaves it at its start. */
static bool begins_packed(FILE *file)
{
    uint8_t bytes[2];
    bool packed = fread(bytes, 1, 2, file) == 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
    rewind(file);
    return packed;
}

bool data_stream_open(struct data_stream *stream, const char *path, bool may_be_packed, struct status *status)
{
    int64_t size;
    FILE *file = file_regular_stream(path, &size, status);
    if (file == NULL) return false;
    *stream = (struct data_stream){.path = path, .file = file, .file_size = size};
    if (!may_be_packed || !begins_packed(file) || start_unpacking(stream, status)) return true;
    fclose(file);
    return false;
}

void data_stream_close(struct data_stream *stream)
{
    if (stream->packed) CHECK(inflateEnd(&stream->inflater) == Z_OK);
    free(stream->buffer);
    (void)fclose(stream->file); /* the file was only read, so nothing can be lost */
    *stream = (struct data_stream){0};
}

/* Reads from the file itself: `got` is less than `bytes` only at its end. */
static bool read_file(struct data_stream *stream, uint8_t *to, size_t bytes, size_t *got, struct status *status)
{
    *got = fread(to, 1, bytes, stream->file);
    if (*got == bytes || !ferror(stream->file)) return true;
    return status_fail(status, STATUS_RUNTIME, "%s: cannot read: %s", stream->path, strerror(errno));
}

static bool refill(struct data_stream *stream, struct status *status)
{
    size_t got;
    if (!read_file(stream, stream->buffer, BUFFER_SIZE, &got, status)) return false;
    stream->inflater.next_in = stream->buffer;
    stream->inflater.avail_in = (uInt)got;
    return true;
}

/* Unpacks up to `bytes` bytes to `to` from a buffer that is not empty. A part of the file that holds only framing gives
 * none. */
static bool inflate_piece(struct data_stream *stream, uint8_t *to, int64_t bytes, struct status *status)
{
    z_stream *inflater = &stream->inflater;
    if (stream->member_ended) CHECK(inflateReset(inflater) == Z_OK); /* gzip files may stand end to end */
    uInt piece = bytes < INFLATE_PIECE ? (uInt)bytes : INFLATE_PIECE;
    inflater->next_out = to;
    inflater->avail_out = piece;
    int result = inflate(inflater, Z_NO_FLUSH);
    stream->offset += piece - inflater->avail_out;
    stream->member_ended = result == Z_STREAM_END;
    if (result == Z_OK || result == Z_STREAM_END) return true;
    if (result == Z_MEM_ERROR)
        return status_fail(status, STATUS_RUNTIME, "%s: cannot unpack: %s", stream->path, zError(result));
    return status_fail(status, STATUS_RUNTIME, "%s: damaged gzip file: %s, after %lld bytes of unpacked data",
                       stream->path, inflater->msg != NULL ? inflater->msg : zError(result), (long long)stream->offset);
}

static bool read_packed(struct data_stream *stream, uint8_t *to, int64_t bytes, struct status *status)
{
    int64_t start = stream->offset;
    while (stream->offset - start < bytes) {
        if (stream->inflater.avail_in == 0 && !refill(stream, status)) return false;
        if (stream->inflater.avail_in == 0) {
            if (stream->member_ended) return true;
            return status_fail(status, STATUS_RUNTIME,
                               "%s: truncated gzip file: it breaks off after %lld bytes of unpacked data", stream->path,
                               (long long)stream->offset);
        }
        int64_t done = stream->offset - start;
        if (!inflate_piece(stream, to + done, bytes - done, status)) return false;
    }
    return true;
}

bool data_stream_read_at(const struct data_stream *stream, int64_t offset, uint8_t *to, size_t bytes)
{
    CHECK(!stream->packed);
    return pread(fileno(stream->file), to, bytes, (off_t)offset) == (ssize_t)bytes;
}

bool data_stream_read(struct data_stream *stream, uint8_t *to, int64_t bytes, int64_t *got, struct status *status)
{
    int64_t start = stream->offset;
    if (stream->packed) {
        if (!read_packed(stream, to, bytes, status)) return false;
    } else {
        size_t count;
        if (!read_file(stream, to, (size_t)bytes, &count, status)) return false;
        stream->offset += (int64_t)count;
    }
    *got = stream->offset - start;
    return true;
}
