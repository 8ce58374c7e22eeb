/* Writes manual pages: roff with the macros of man(7). */
#include <ctype.h>
#include <string.h>

#include "cli/cli_document.h"

/* Writes a character so that roff does not interpret it. A plain dash is a hyphen to roff, and a line that starts with
 * a dot or an apostrophe is a request. */
static void put_character(FILE *out, char c, bool first)
{
    if (first && (c == '.' || c == '\'')) fputs("\\&", out);
    if (c == '\\')
        fputs("\\e", out);
    else if (c == '-')
        fputs("\\-", out);
    else
        fputc(c, out);
}

/* Writes a text with `code` in bold and with `between` for an empty line. */
static void put_text(FILE *out, const char *text, const char *between)
{
    bool bold = false, first = true;
    for (; *text; text++) {
        if (*text == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
        } else if (text[0] == '\n' && text[1] == '\n') {
            fprintf(out, "\n%s\n", between);
            text++;
            first = true;
            continue;
        } else {
            put_character(out, *text, first);
        }
        first = *text == '\n';
    }
    fputc('\n', out);
}

static void begin(FILE *out, const char *name, int section, const char *summary)
{
    fprintf(out, ".TH ");
    for (const char *c = name; *c; c++) put_character(out, (char)toupper((unsigned char)*c), false);
    fprintf(out, " %d \"\" \"trainer %s\" \"User Commands\"\n.SH NAME\n", section, TRAINER_VERSION);
    for (const char *c = name; *c; c++) put_character(out, *c, false);
    fprintf(out, " \\- ");
    put_text(out, summary, ".PP");
}

static void heading(FILE *out, const char *text)
{
    fprintf(out, ".SH ");
    for (const char *c = text; *c; c++) put_character(out, (char)toupper((unsigned char)*c), false);
    fputc('\n', out);
}

static void paragraph(FILE *out, const char *text)
{
    put_text(out, text, ".PP");
}

static void code(FILE *out, const char *lines)
{
    fprintf(out, ".PP\n.nf\n.RS 4\n");
    bool first = true;
    for (const char *c = lines; *c; c++) {
        put_character(out, *c, first);
        first = *c == '\n';
    }
    fprintf(out, "%s.RE\n.fi\n", first ? "" : "\n");
}

static void item(FILE *out, const char *term, const char *text)
{
    fprintf(out, ".TP\n\\fB");
    for (const char *c = term; *c; c++) put_character(out, *c, false);
    fprintf(out, "\\fR\n");
    put_text(out, text, ".IP");
}

const struct document_style document_man = {begin, heading, paragraph, code, item};
