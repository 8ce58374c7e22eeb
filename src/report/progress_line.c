/* Writes the line at the bottom of a terminal in one piece, fitted to its width. */
#include "report/progress_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/streams.h"

enum { MAX_WIDTH = 240, DEFAULT_WIDTH = 80, BAR_MIN = 10, BAR_MAX = 40, BAR_RANK = 5, MAX_RANK = 9 };

/* --- what the terminal can do --- */

static bool environment_has(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

/* Returns true where the line can be rewritten. A terminal that cannot erase a line ("dumb", as in some editors) gets
 * plain lines. */
static bool can_rewrite(FILE *out)
{
    return isatty(fileno(out)) && environment_has("TERM") && strcmp(getenv("TERM"), "dumb") != 0;
}

/* Returns true in a UTF-8 locale. The first variable that is set decides, as everywhere (locale(7)). */
static bool locale_is_utf8(void)
{
    const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++)
        if (environment_has(names[i])) {
            const char *codeset = strchr(getenv(names[i]), '.');
            return codeset && (strncasecmp(codeset, ".utf-8", 6) == 0 || strncasecmp(codeset, ".utf8", 5) == 0);
        }
    return false;
}

void progress_line_prepare(struct progress *progress)
{
    progress->terminal = progress->mode == PROGRESS_BAR && can_rewrite(progress->out);
    progress->colour = progress->terminal && !environment_has("NO_COLOR");
    progress->unicode = progress->terminal && locale_is_utf8();
}

int progress_line_columns(const struct progress *progress)
{
    struct winsize size;
    if (ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return DEFAULT_WIDTH;
}

/* --- what fits --- */

/* Joins the fields up to a rank in `text`; returns their full length, also where the text is cut. */
static int join(char text[MAX_WIDTH + 1], const struct progress_field *fields, int count, int rank)
{
    int length = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (fields[i].rank > rank || !*fields[i].text) continue;
        const char *gap = length > 0 ? "  " : "";
        if (length < MAX_WIDTH) snprintf(text + length, (size_t)(MAX_WIDTH + 1 - length), "%s%s", gap, fields[i].text);
        length += (int)(strlen(gap) + strlen(fields[i].text));
    }
    return length;
}

/* Joins as many fields as fit. Those that matter less than a bar appear only with room for one. */
static void fit(char text[MAX_WIDTH + 1], const struct progress_field *fields, int count, int width)
{
    for (int rank = MAX_RANK; rank >= 0; rank--) {
        int room = rank >= BAR_RANK ? width - BAR_MIN - 3 : width;
        if (join(text, fields, count, rank) <= room) break;
    }
    if ((int)strlen(text) > width) text[width] = '\0';
}

/* --- writing --- */

/* A line of text as it grows; large enough for MAX_WIDTH characters of three bytes, and for the colours. */
struct line {
    char text[4 * MAX_WIDTH];
    size_t size;
};

static void put(struct line *line, const char *text)
{
    size_t length = strlen(text);
    memcpy(line->text + line->size, text, length + 1);
    line->size += length;
}

static void put_bar(struct line *line, const struct progress *progress, double share, int columns)
{
    int full = isfinite(share) ? (int)(share * columns) : 0;
    if (!progress->unicode) put(line, "[");
    if (progress->colour) put(line, "\x1b[32m");
    for (int i = 0; i < columns; i++) {
        if (i == full && progress->colour) put(line, "\x1b[0;2m");
        if (progress->unicode)
            put(line, i < full ? "\u2501" : "\u2500"); /* a heavy line, then a thin one */
        else
            put(line, i < full ? "=" : " ");
    }
    if (progress->colour) put(line, "\x1b[0m");
    put(line, progress->unicode ? " " : "] ");
}

/* Moves to the first column of the shown line. A terminal whose window became narrower breaks the line into several;
 * these are erased too. */
static void put_erase(struct line *line, const struct progress *progress, int columns)
{
    char up[24];
    int rows = progress->shown > 0 ? (progress->shown - 1) / columns : 0;
    put(line, "\r");
    if (rows == 0) return;
    snprintf(up, sizeof up, "\x1b[%dA\x1b[J", rows);
    put(line, up);
}

/* Writes the line with one call, so that no half of it is ever visible. */
void progress_line_show(struct progress *progress, double share, const struct progress_field *fields, int count)
{
    char text[MAX_WIDTH + 1];
    struct line line = {.size = 0};
    int columns = progress_line_columns(progress);
    /* Some terminals wrap as soon as their last column is written. */
    int width = columns - 1 < MAX_WIDTH ? columns - 1 : MAX_WIDTH;
    fit(text, fields, count, width);
    int frame = progress->unicode ? 1 : 3, bar = width - (int)strlen(text) - frame;
    if (bar > BAR_MAX) bar = BAR_MAX;
    put_erase(&line, progress, columns);
    if (bar >= BAR_MIN) put_bar(&line, progress, share, bar);
    put(&line, text);
    put(&line, "\x1b[K");
    fwrite(line.text, 1, line.size, progress->out);
    streams_flush(progress->out);
    progress->shown = (int)strlen(text) + (bar >= BAR_MIN ? bar + frame : 0);
    progress->refreshed = clock_seconds();
}

void progress_line_erase(struct progress *progress)
{
    if (progress->shown == 0) return;
    struct line line = {.size = 0};
    put_erase(&line, progress, progress_line_columns(progress));
    put(&line, "\x1b[K");
    fwrite(line.text, 1, line.size, progress->out);
    streams_flush(progress->out);
    progress->shown = 0;
}
