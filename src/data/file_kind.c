/* Recognises the kind of a file that a reader got in place of its own, most often one that a browser, git or an archive
 * left. */
#include "data_private.h"

#include <string.h>

#include "util/memory.h"

struct signature {
    const char *bytes;
    size_t size;
    const char *words;
};

#define SIGNATURE(text, words)                                                                                         \
    {                                                                                                                  \
        text, sizeof(text) - 1, words                                                                                  \
    }

static const struct signature signatures[] = {
    SIGNATURE("\x1F\x8B", "a gzip file"),
    SIGNATURE("version https://", "a Git LFS pointer (git lfs pull fetches the file itself)"),
    SIGNATURE("\x89PNG\r\n\x1A\n", "a PNG picture"),
    SIGNATURE("\xFF\xD8\xFF", "a JPEG picture"),
    SIGNATURE("GIF8", "a GIF picture"),
    SIGNATURE("PK\x03\x04", "a ZIP archive (or .npz)"),
    SIGNATURE("7z\xBC\xAF\x27\x1C", "a 7-Zip archive"),
    SIGNATURE("BZh", "a bzip2 file"),
    SIGNATURE("\xFD"
              "7zXZ",
              "an xz file"),
    SIGNATURE("\x28\xB5\x2F\xFD", "a Zstandard file"),
    SIGNATURE("\x93NUMPY", "a NumPy array"),
    SIGNATURE("\x89TPK\r\n\x1A\n", "a packed data set (data.dataset = pack reads it)"),
    SIGNATURE("\x89HDF\r\n\x1A\n", "an HDF5 file"),
    SIGNATURE("PAR1", "a Parquet file"),
    SIGNATURE("\x80\x02", "a Python pickle"),
    SIGNATURE("\x80\x03", "a Python pickle"),
    SIGNATURE("\x80\x04", "a Python pickle"),
    SIGNATURE("%PDF", "a PDF document"),
    SIGNATURE("\x7F"
              "ELF",
              "a program"),
};

/* Skips blanks, line ends and the byte order mark that some editors put first. */
static const uint8_t *skip_blanks(const uint8_t *bytes, const uint8_t *end)
{
    if (end - bytes >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) bytes += 3;
    while (bytes < end && strchr(" \t\r\n", *bytes) && *bytes != '\0') bytes++;
    return bytes;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((bytes[i] < ' ' || bytes[i] > '~') && !(bytes[i] && strchr("\t\r\n", bytes[i]))) return false;
    return size > 0;
}

const char *file_kind(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *signature = &signatures[i];
        if (size >= signature->size && memcmp(bytes, signature->bytes, signature->size) == 0) return signature->words;
    }
    const uint8_t *text = skip_blanks(bytes, bytes + size);
    if (!is_text(text, (size_t)(bytes + size - text))) return NULL;
    return *text == '<' ? "an HTML or XML page" : "a text file";
}

/* --- IDX --- */

static const char *idx_type(uint8_t code)
{
    switch (code) {
    case 0x08:
        return "unsigned bytes";
    case 0x09:
        return "signed bytes";
    case 0x0B:
        return "16-bit integers";
    case 0x0C:
        return "32-bit integers";
    case 0x0D:
        return "32-bit floats";
    case 0x0E:
        return "64-bit floats";
    default:
        return NULL;
    }
}

char *file_kind_idx(const uint8_t bytes[4])
{
    if (bytes[0] == 0 && bytes[1] == 0 && idx_type(bytes[2]) && bytes[3] > 0)
        return memory_format("IDX of %s with %d dimension%s", idx_type(bytes[2]), bytes[3], bytes[3] == 1 ? "" : "s");
    if (bytes[3] == 0 && bytes[2] == 0 && idx_type(bytes[1]) && bytes[0] > 0)
        return memory_format("IDX of %s with %d dimension%s, written in little-endian order", idx_type(bytes[1]),
                             bytes[0], bytes[0] == 1 ? "" : "s");
    return NULL;
}
