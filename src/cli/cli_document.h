/* Pages about the program, as manual pages and as Markdown, from the tables of subcommands and keys. */
#ifndef TRAINER_CLI_DOCUMENT_H
#define TRAINER_CLI_DOCUMENT_H

#include <stdio.h>

#include "cli/cli_private.h"

/* Functions that write one form of text. Texts may hold `code` in backticks, and paragraphs with an empty line between
 * them. */
struct document_style {
    /* Writes the top of a page; `section` is the manual's section. */
    void (*begin)(FILE *out, const char *name, int section, const char *summary);
    void (*heading)(FILE *out, const char *text);
    void (*paragraph)(FILE *out, const char *text);
    void (*code)(FILE *out, const char *lines);
    void (*item)(FILE *out, const char *term, const char *text);
};

extern const struct document_style document_man, document_markdown;

/* Writes a page about a subcommand. */
void document_command(const struct document_style *style, const struct cli_command *command, FILE *out);

/* Writes every page into `folder`, which is created: trainer.1, trainer-<subcommand>.1 and trainer-config.5. */
bool document_write_man(const char *folder, struct status *status);

/* Writes the same pages as Markdown: README.md, <subcommand>.md and config-<section>.md. */
bool document_write_markdown(const char *folder, struct status *status);

#endif
