/* Finds the pictures that the command line names: files, files of folders, and lines of the standard input. */
#include "cli/cli_pictures.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "trainer/memory.h"

struct visitor {
    void (*visit)(void *argument, const char *path, const struct status *problem);
    void *argument;
};

static void tell(const struct visitor *visitor, const char *path, const char *problem, const char *cause)
{
    struct status status;
    status_fail(&status, STATUS_RUNTIME, "%s: %s%s", path, problem, cause);
    visitor->visit(visitor->argument, path, &status);
}

/* --- folders --- */

static int is_picture(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && *entry->d_name != '.' && entry->d_type != DT_DIR &&
           (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void visit_folder(const struct visitor *visitor, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_picture, compare_names);
    if (count < 0) {
        tell(visitor, folder, "cannot read the folder: ", strerror(errno));
        return;
    }
    if (count == 0) tell(visitor, folder, "no file in this folder ends in .png, .jpg or .jpeg", "");
    for (int i = 0; i < count; i++) {
        bool has_slash = *folder && folder[strlen(folder) - 1] == '/';
        char *path = memory_format("%s%s%s", folder, has_slash ? "" : "/", entries[i]->d_name);
        visitor->visit(visitor->argument, path, NULL);
        free(path);
        free(entries[i]);
    }
    free(entries);
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

void cli_pictures_visit(char **words, int count,
                        void (*visit)(void *argument, const char *path, const struct status *problem), void *argument)
{
    struct visitor visitor = {visit, argument};
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "-") == 0)
            visit_list(&visitor);
        else
            visit_path(&visitor, words[i]);
    }
}
