/* Writes pages as Markdown. */
#include <string.h>

#include "cli/cli_document.h"

/* Writes a text, and escapes characters outside of `code` that Markdown would take for markup. */
static void put_text(FILE *out, const char *text, const char *indent)
{
    bool is_code = false;
    for (; *text; text++) {
        if (*text == '`') is_code = !is_code;
        if (!is_code && strchr("<*|", *text)) fputc('\\', out);
        fputc(*text, out);
        if (*text == '\n' && text[1] != '\n') fputs(indent, out);
    }
    fputc('\n', out);
}

static void begin(FILE *out, const char *name, int section, const char *summary)
{
    (void)section;
    fprintf(out, "# %s\n\n", name);
    put_text(out, summary, "");
}

static void heading(FILE *out, const char *text)
{
    fprintf(out, "\n## %c%s\n", text[0], text + 1);
}

static void paragraph(FILE *out, const char *text)
{
    fputc('\n', out);
    put_text(out, text, "");
}

static void code(FILE *out, const char *lines)
{
    size_t length = strlen(lines);
    fprintf(out, "\n```\n%s%s```\n", lines, length > 0 && lines[length - 1] == '\n' ? "" : "\n");
}

static void item(FILE *out, const char *term, const char *text)
{
    fprintf(out, "\n- `%s`<br>\n  ", term);
    put_text(out, text, "  ");
}

const struct document_style document_markdown = {begin, heading, paragraph, code, item};
