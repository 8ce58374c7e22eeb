#include "picture_list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/check.h"
#include "util/memory.h"

struct picture_list picture_list_start(const char *root)
{
    struct picture_list list = {.root = memory_copy_string(root)};
    for (size_t length = strlen(root); length > 1 && root[length - 1] == '/'; length--) list.root[length - 1] = '\0';
    return list;
}

/* Makes room for one element more. */
static void *grow(void *elements, int64_t count, int64_t *capacity, size_t size)
{
    enum { FIRST = 64 };
    if (count < *capacity) return elements;
    *capacity = *capacity > 0 ? *capacity * 2 : FIRST;
    return memory_resize(elements, (size_t)*capacity, size);
}

void picture_list_add(struct picture_list *list, struct picture picture)
{
    list->pictures = grow(list->pictures, list->count, &list->capacity, sizeof *list->pictures);
    list->pictures[list->count++] = picture;
}

void picture_list_skip(struct picture_list *list, const char *name, bool picture, const char *reason)
{
    list->skipped = grow(list->skipped, list->skipped_count, &list->skipped_capacity, sizeof *list->skipped);
    list->skipped[list->skipped_count++] =
        (struct skipped_file){picture_list_path(list, name), memory_copy_string(reason), picture};
}

static int compare_pictures(const void *a, const void *b)
{
    const struct picture *left = a, *right = b;
    if (left->part != right->part) return left->part < right->part ? -1 : 1;
    if (left->label != right->label) return left->label < right->label ? -1 : 1;
    return strcmp(left->name, right->name);
}

void picture_list_sort(struct picture_list *list)
{
    if (list->count > 1) qsort(list->pictures, (size_t)list->count, sizeof *list->pictures, compare_pictures);
}

char *picture_list_path(const struct picture_list *list, const char *name)
{
    if (*name == '\0') return memory_copy_string(list->root);
    return *name == '/' ? memory_copy_string(name) : data_path_join(list->root, name);
}

bool picture_name_is_known(const char *name)
{
    const char *ending = strrchr(name, '.');
    return ending &&
           (strcasecmp(ending, ".png") == 0 || strcasecmp(ending, ".jpg") == 0 || strcasecmp(ending, ".jpeg") == 0);
}

void picture_list_free(struct picture_list *list)
{
    for (int64_t i = 0; i < list->count; i++) free(list->pictures[i].name);
    skipped_files_free(list->skipped, list->skipped_count);
    class_names_free(&list->classes);
    free(list->pictures);
    free(list->root);
    *list = (struct picture_list){0};
}
