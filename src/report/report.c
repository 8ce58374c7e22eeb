/* Makes the page: page/page.html, whose places (@STYLE@ and the like) get the other files of page/ and the data of the
 * runs. */
#include "report/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/json_value.h"
#include "report/page.h"
#include "report/report_json.h"
#include "util/check.h"
#include "util/file_atomic.h"
#include "util/memory.h"

void report_add_missing(struct report_run *run, const char *format, ...)
{
    char text[STATUS_MESSAGE_SIZE + 128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int i = 0;
    while (i < REPORT_MISSING_MAX && run->missing[i]) i++;
    if (i < REPORT_MISSING_MAX) run->missing[i] = memory_copy_string(text);
}

/* --- what stands in the places --- */

struct page {
    const struct report_run *runs;
    int count;
};

static char *title_of(const struct page *page)
{
    enum { MOST_NAMED = 6 };
    if (page->count == 1) return memory_format("%s", page->runs[0].name);
    if (page->count > MOST_NAMED) return memory_format("%d runs", page->count);
    char *title = memory_copy_string(page->runs[0].name);
    for (int i = 1; i < page->count; i++) {
        const char *gap = i + 1 < page->count ? ", " : " and ";
        char *longer = memory_format("%s%s%s", title, gap, page->runs[i].name);
        free(title);
        title = longer;
    }
    return title;
}

/* Prints the title as HTML; characters with a meaning in HTML are escaped. */
static void print_title(const struct page *page, FILE *out)
{
    char *title = title_of(page);
    json_t *clean = json_value_text(title);
    for (const char *c = json_string_value(clean); *c; c++) {
        if (strchr("<>&\"'", *c))
            fprintf(out, "&#%d;", *c);
        else
            fputc(*c, out);
    }
    json_decref(clean);
    free(title);
}

/* Prints JSON in which no "<" occurs, so that the browser finds no tag in it. */
static void print_data(const struct page *page, FILE *out)
{
    char made[64];
    time_t now = time(NULL);
    struct tm local;
    CHECK(localtime_r(&now, &local) && strftime(made, sizeof made, "%Y-%m-%d %H:%M", &local) > 0);
    json_t *data = json_object(), *runs = json_array();
    for (int i = 0; i < page->count; i++) json_array_append_new(runs, report_run_json(&page->runs[i]));
    json_object_set_new(data, "trainer", json_string(TRAINER_VERSION));
    json_object_set_new(data, "made", json_string(made));
    json_object_set_new(data, "runs", runs);
    char *text = json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(9));
    CHECK(text);
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            fputs("\\u003c", out);
        else
            fputc(*c, out);
    }
    free(text);
    json_decref(data);
}

static void print_place(const struct page *page, const char *name, size_t length, FILE *out)
{
    if (length == 5 && memcmp(name, "TITLE", 5) == 0) {
        print_title(page, out);
    } else if (length == 5 && memcmp(name, "STYLE", 5) == 0) {
        fputs(page_css, out);
    } else if (length == 6 && memcmp(name, "SCRIPT", 6) == 0) {
        fputs(chart_js, out);
        fputs(page_js, out);
    } else {
        CHECK(length == 4 && memcmp(name, "DATA", 4) == 0);
        print_data(page, out);
    }
}

/* Prints the page; a place is a name between two "@". */
static void print_page(const void *body, FILE *out)
{
    const char *text = page_html;
    for (;;) {
        const char *place = strchr(text, '@'), *end = place ? strchr(place + 1, '@') : NULL;
        if (!end) break;
        fwrite(text, 1, (size_t)(place - text), out);
        print_place(body, place + 1, (size_t)(end - place - 1), out);
        text = end + 1;
    }
    fputs(text, out);
}

bool report_write(const char *path, const struct report_run *runs, int count, struct status *status)
{
    struct page page = {runs, count};
    CHECK(count > 0);
    return file_atomic_print(path, print_page, &page, status);
}
