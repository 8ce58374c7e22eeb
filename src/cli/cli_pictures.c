/* Finds the pictures that the command line names: files, files of folders, and lines of the standard input. */
#include "cli/cli_pictures.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "util/memory.h"

struct visitor {
    void (*visit)(void *argument, const char *path, const struct status *problem);
    void *argument;
    bool recursive;
};

static void tell(const struct visitor *visitor, const char *path, const char *problem, const char *cause)
{
    struct status status;
    status_fail(&status, STATUS_RUNTIME, "%s: %s%s", path, problem, cause);
    visitor->visit(visitor->argument, path, &status);
}

/* --- folders --- */

static bool is_picture_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && *name != '.' &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

static int is_picture(const struct dirent *entry)
{
    return entry->d_type != DT_DIR && is_picture_name(entry->d_name);
}

static int is_folder(const struct dirent *entry)
{
    return entry->d_type == DT_DIR && *entry->d_name != '.';
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void tell_no_picture(const struct visitor *visitor, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_folder, NULL);
    for (int i = 0; i < count; i++) free(entries[i]);
    if (count >= 0) free(entries);
    tell(visitor, folder, "no file in this folder ends in .png, .jpg or .jpeg",
         count > 0 ? "; --recursive takes its subfolders too" : "");
}

static void visit_files(const struct visitor *visitor, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_picture, compare_names);
    if (count < 0) {
        tell(visitor, folder, "cannot read the folder: ", strerror(errno));
        return;
    }
    if (count == 0) tell_no_picture(visitor, folder);
    for (int i = 0; i < count; i++) {
        bool has_slash = *folder && folder[strlen(folder) - 1] == '/';
        char *path = memory_format("%s%s%s", folder, has_slash ? "" : "/", entries[i]->d_name);
        visitor->visit(visitor->argument, path, NULL);
        free(path);
        free(entries[i]);
    }
    free(entries);
}

static int compare_entries(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Visits an entry of a tree if it is a picture, or tells why a folder cannot be read. Returns 1 where it did either. */
static int visit_entry(const struct visitor *visitor, FTS *tree, FTSENT *entry)
{
    bool hidden = *entry->fts_name == '.' && entry->fts_level > 0;
    switch (entry->fts_info) {
    case FTS_D:
        if (hidden) fts_set(tree, entry, FTS_SKIP);
        return 0;
    case FTS_DP:
        return 0;
    case FTS_DC:
        tell(visitor, entry->fts_path, "a link to a folder that holds it", "");
        return 1;
    case FTS_DNR:
    case FTS_ERR:
        tell(visitor, entry->fts_path, "cannot read the folder: ", strerror(entry->fts_errno));
        return 1;
    default:
        if (!is_picture_name(entry->fts_name)) return 0;
        visitor->visit(visitor->argument, entry->fts_path, NULL);
        return 1;
    }
}

/* Visits the pictures of a folder and of all folders below it. Links are followed. */
static void visit_tree(const struct visitor *visitor, const char *folder)
{
    int64_t told = 0;
    char *const roots[] = {(char *)folder, NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, compare_entries);
    errno = tree ? 0 : errno;
    for (FTSENT *entry; tree && (entry = fts_read(tree)); errno = 0) told += visit_entry(visitor, tree, entry);
    if (errno != 0)
        tell(visitor, folder, "cannot read the folder: ", strerror(errno));
    else if (told == 0)
        tell(visitor, folder, "no file in this folder or below ends in .png, .jpg or .jpeg", "");
    if (tree) fts_close(tree);
}

static void visit_folder(const struct visitor *visitor, const char *folder)
{
    if (visitor->recursive)
        visit_tree(visitor, folder);
    else
        visit_files(visitor, folder);
}

static void visit_path(const struct visitor *visitor, const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        visit_folder(visitor, path);
    else
        visitor->visit(visitor->argument, path, NULL);
}

/* --- the standard input --- */

/* Cuts the newline off the line, and a carriage return before it. */
static void cut_newline(char *line, ssize_t length)
{
    if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
    if (length > 0 && line[length - 1] == '\r') line[--length] = '\0';
}

static void visit_list(const struct visitor *visitor)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    errno = 0;
    while ((length = getline(&line, &size, stdin)) >= 0) {
        cut_newline(line, length);
        if (*line) visit_path(visitor, line);
        errno = 0;
    }
    if (ferror(stdin)) tell(visitor, "-", "cannot read the standard input: ", strerror(errno));
    free(line);
}

void cli_pictures_visit(char **words, int count, bool recursive,
                        void (*visit)(void *argument, const char *path, const struct status *problem), void *argument)
{
    struct visitor visitor = {visit, argument, recursive};
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "-") == 0)
            visit_list(&visitor);
        else
            visit_path(&visitor, words[i]);
    }
}
