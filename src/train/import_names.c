/* Finds the network's tensors in a file of another program by name and by order (import_names.h). */
#include "train/import_names.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/checkpoint_private.h"
#include "train/module_order.h"
#include "util/check.h"
#include "util/memory.h"
#include "util/text.h"

enum { DEPTH_MAX = 8, DIGITS_MAX = 9 };

/* A tensor of the file that may belong to a layer. */
struct candidate {
    int tensor;       /* its index in the file */
    const char *name; /* the tensor's name without the words that all names begin with: "0.weight" */
    const char *leaf; /* "weight" */
    bool is_place;    /* true where all words before the leaf are numbers, or the order of modules knows them */
    bool is_named;    /* true where it is the order, which gives the place `named` */
    struct module_place named;
    int depth;            /* number of those words */
    int place[DEPTH_MAX]; /* those words: an nn.Sequential within another has two */
    int module;           /* rank of the place among all places; -1 where the tensor only counts or masks */
    bool taken;
};

/* A tensor of the network. */
struct wanted {
    char *name; /* "layers.<i>.<leaf>"; owned */
    const char *leaf;
    int rank, module; /* module: the layer's rank among the layers that have tensors */
    int64_t shape[4];
    struct candidate *found; /* its tensor in the file, or NULL */
};

struct matching {
    const struct network *network;
    const struct layer *other_head; /* its shapes may be others; NULL: none */
    struct module_order *order;     /* NULL: modules are numbered */
    struct safetensors_file *file;
    struct import_names *names;
    struct wanted *wanted;
    int wanted_count, layer_count;
    struct candidate *candidates; /* by place */
    int candidate_count, module_count;
    struct status *status;
};

/* --- what the network needs --- */

static bool add_wanted(void *argument, const struct checkpoint_item *item)
{
    struct matching *matching = argument;
    int count = matching->wanted_count++;
    matching->wanted = memory_resize(matching->wanted, (size_t)matching->wanted_count, sizeof *matching->wanted);
    struct wanted *wanted = &matching->wanted[count];
    *wanted = (struct wanted){.name = memory_copy_string(item->name), .rank = item->rank};
    memcpy(wanted->shape, item->shape, sizeof wanted->shape);
    wanted->leaf = strrchr(wanted->name, '.') + 1;
    size_t layer = (size_t)(wanted->leaf - wanted->name);
    bool is_first = count == 0 || strncmp(wanted->name, wanted[-1].name, layer) != 0;
    matching->layer_count += is_first;
    wanted->module = matching->layer_count - 1;
    return true;
}

/* --- what the file has --- */

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), rest = strlen(end);
    return length >= rest && strcmp(text + length - rest, end) == 0;
}

/* Returns true where a tensor is no weight of a layer. PyTorch counts batches for batch normalizations without a
 * momentum. The trainer's own checkpoints hold the states of optimizer and training too. */
static bool is_passed_over(const char *name)
{
    return ends_with(name, "num_batches_tracked") || begins_with(name, "optimizer.") ||
           begins_with(name, "training.layers.");
}

/* Returns true for the tensors that say how pixels enter the network; import.c compares them with the data. */
static bool is_input(const char *name)
{
    return strcmp(name, "input.offset") == 0 || strcmp(name, "input.scale") == 0;
}

/* Returns the length of a name's first word and its dot. It is 0 where that word is a number or the last one. */
static size_t word_length(const char *name)
{
    const char *dot = strchr(name, '.');
    return !dot || isdigit((unsigned char)*name) ? 0 : (size_t)(dot + 1 - name);
}

/* Moves every name past the words that all names begin with. */
static void skip_common(const char **names, int count)
{
    size_t length;
    while (count > 0 && (length = word_length(names[0])) > 0) {
        for (int i = 1; i < count; i++)
            if (strncmp(names[i], names[0], length) != 0) return;
        for (int i = 0; i < count; i++) names[i] += length;
    }
}

/* Takes a name apart: "3.0.weight" has the place 3, 0 and the leaf "weight". */
static void parse_place(struct candidate *candidate, const char *name)
{
    const char *word = name, *last = strrchr(word, '.');
    candidate->name = name;
    candidate->leaf = last ? last + 1 : word;
    candidate->is_place = true;
    while (candidate->is_place && word < candidate->leaf) {
        size_t digits = strspn(word, "0123456789");
        candidate->is_place = digits > 0 && digits <= DIGITS_MAX && word[digits] == '.' && candidate->depth < DEPTH_MAX;
        if (candidate->is_place) candidate->place[candidate->depth++] = atoi(word);
        word += digits + 1;
    }
}

static int compare_places(const struct candidate *a, const struct candidate *b)
{
    if (a->is_named) return module_place_compare(&a->named, &b->named);
    for (int i = 0; i < a->depth && i < b->depth; i++)
        if (a->place[i] != b->place[i]) return a->place[i] < b->place[i] ? -1 : 1;
    return a->depth - b->depth;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->is_place != y->is_place) return x->is_place ? -1 : 1;
    int order = x->is_place ? compare_places(x, y) : 0;
    return order ? order : strcmp(x->name, y->name);
}

/* Tells whether a tensor counts or masks, and is no weight. */
static bool is_whole(const struct matching *matching, const struct candidate *candidate)
{
    return safetensors_dtype_is_whole(matching->file->tensors[candidate->tensor].dtype);
}

static bool find_named(const struct module_order *order, const struct candidate *candidate, struct module_place *place)
{
    size_t length = (size_t)(candidate->leaf - candidate->name);
    return length > 0 && module_order_find(order, candidate->name, length - 1, place);
}

static bool knows_all(const struct matching *matching, const struct module_order *order)
{
    struct module_place place;
    for (int i = 0; i < matching->candidate_count; i++) {
        const struct candidate *candidate = &matching->candidates[i];
        if (!is_whole(matching, candidate) && !find_named(order, candidate, &place)) return false;
    }
    return true;
}

static bool are_numbered(const struct matching *matching)
{
    for (int i = 0; i < matching->candidate_count; i++)
        if (!matching->candidates[i].is_place && !is_whole(matching, &matching->candidates[i])) return false;
    return true;
}

/* Takes the order from the file, if there is one, or else one of the program's own that knows all modules. */
static bool choose_order(struct matching *matching, const char *path)
{
    if (path) return (matching->order = module_order_read(path, matching->status)) != NULL;
    const char *text;
    for (int i = 0; !are_numbered(matching) && (text = module_order_builtin(i)); i++) {
        matching->order = module_order_parse("modules", text, matching->status);
        CHECK(matching->order);
        if (knows_all(matching, matching->order)) break;
        module_order_free(matching->order);
        matching->order = NULL;
    }
    return true;
}

static void place_by_order(struct matching *matching)
{
    for (int i = 0; matching->order && i < matching->candidate_count; i++) {
        struct candidate *candidate = &matching->candidates[i];
        candidate->depth = 0;
        candidate->is_place = candidate->is_named = find_named(matching->order, candidate, &candidate->named);
    }
}

/* Numbers the places that hold weights. A count or a mask makes no module. */
static void number_modules(struct matching *matching)
{
    const struct candidate *last = NULL;
    for (int i = 0; i < matching->candidate_count && matching->candidates[i].is_place; i++) {
        struct candidate *candidate = &matching->candidates[i];
        candidate->module = -1;
        if (is_whole(matching, candidate)) continue;
        matching->module_count += !last || compare_places(last, candidate) != 0;
        candidate->module = matching->module_count - 1;
        last = candidate;
    }
}

/* Lists the tensors that may belong to layers, with their names without the words that all of them begin with.
 * "layers." is removed from single names too, so that an error shows the name that lacks it. */
static bool gather_candidates(struct matching *matching, const char *order)
{
    struct safetensors_file *file = matching->file;
    int total = file->tensor_count, count = 0;
    const char **names = memory_alloc((size_t)total, sizeof *names);
    for (int i = 0; i < total; i++) names[i] = file->tensors[i].name;
    if (total > 1) skip_common(names, total);
    matching->candidates = memory_alloc((size_t)total, sizeof *matching->candidates);
    for (int i = 0; i < total; i++) {
        if (is_input(names[i])) matching->names->text[i] = memory_copy_string(names[i]);
        if (is_input(names[i]) || is_passed_over(names[i])) continue;
        matching->candidates[count].tensor = i;
        names[count++] = names[i];
    }
    matching->candidate_count = count;
    skip_common(names, count);
    for (int i = 0; i < count; i++)
        parse_place(&matching->candidates[i], names[i] + (begins_with(names[i], "layers.") ? strlen("layers.") : 0));
    free(names);
    if (!choose_order(matching, order)) return false;
    place_by_order(matching);
    if (count > 0) qsort(matching->candidates, (size_t)count, sizeof *matching->candidates, compare_candidates);
    number_modules(matching);
    return true;
}

/* --- errors --- */

static bool same_shape(const struct wanted *wanted, const struct safetensors_tensor *tensor)
{
    return wanted->rank == tensor->rank &&
           memcmp(wanted->shape, tensor->shape, (size_t)wanted->rank * sizeof *wanted->shape) == 0;
}

/* Returns how far a tensor of the file is from a missing one. The shape counts most, then the last word of the name. */
static int64_t distance(const struct matching *matching, const struct wanted *wanted, const struct candidate *candidate)
{
    const struct safetensors_tensor *tensor = &matching->file->tensors[candidate->tensor];
    int letters = text_distance(wanted->name + strlen("layers."), candidate->name);
    int64_t far = letters == INT_MAX ? 64 : letters;
    return far + (strcmp(wanted->leaf, candidate->leaf) == 0 ? 0 : 100) + (same_shape(wanted, tensor) ? 0 : 1000);
}

static bool fail_missing(const struct matching *matching, const struct wanted *wanted)
{
    const struct candidate *nearest = NULL;
    char shape[128], found[256];
    for (int i = 0; i < matching->candidate_count; i++) {
        const struct candidate *candidate = &matching->candidates[i];
        if (candidate->taken) continue;
        if (!nearest || distance(matching, wanted, candidate) < distance(matching, wanted, nearest))
            nearest = candidate;
    }
    checkpoint_format_shape(wanted->rank, wanted->shape, shape, sizeof shape);
    if (!nearest)
        return status_fail(matching->status, STATUS_RUNTIME,
                           "%s: no tensor %s %s, which the network has; no other tensor of the file is left for it",
                           matching->file->path, wanted->name, shape);
    const struct safetensors_tensor *tensor = &matching->file->tensors[nearest->tensor];
    checkpoint_format_shape(tensor->rank, tensor->shape, found, sizeof found);
    return status_fail(matching->status, STATUS_RUNTIME,
                       "%s: no tensor %s %s, which the network has; the nearest in the file is %s %s",
                       matching->file->path, wanted->name, shape, tensor->name, found);
}

static void add_note(struct import_names *names, char *note)
{
    names->notes = memory_resize(names->notes, (size_t)names->note_count + 1, sizeof *names->notes);
    names->notes[names->note_count++] = note;
}

/* Returns true where a tensor holds weights that no layer takes. Adds a note on one that counts or masks. */
static bool is_extra(struct matching *matching, const struct candidate *candidate)
{
    const struct safetensors_tensor *tensor = &matching->file->tensors[candidate->tensor];
    if (candidate->taken) return false;
    /* A tensor of whole numbers or truth values counts or masks. */
    if (!safetensors_dtype_is_whole(tensor->dtype)) return true;
    add_note(matching->names, memory_format("%s: tensor %s (%s) is passed over: the network has no place for it",
                                            matching->file->path, tensor->name, safetensors_dtype_name(tensor->dtype)));
    return false;
}

static bool check_extra(struct matching *matching)
{
    enum { NAMES_SHOWN = 4 };
    char list[512] = "";
    int extra = 0;
    for (int i = 0; i < matching->candidate_count; i++) {
        const struct candidate *candidate = &matching->candidates[i];
        if (!is_extra(matching, candidate) || extra++ >= NAMES_SHOWN) continue;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                 matching->file->tensors[candidate->tensor].name);
    }
    if (extra == 0) return true;
    char more[32] = "";
    if (extra > NAMES_SHOWN) snprintf(more, sizeof more, " and %d more", extra - NAMES_SHOWN);
    return status_fail(matching->status, STATUS_RUNTIME,
                       "%s: expected the tensors of the network and no others, found also %s%s", matching->file->path,
                       list, more);
}

/* Returns the layer's index in the network. */
static int layer_number(const struct wanted *wanted)
{
    return atoi(wanted->name + strlen("layers."));
}

static bool check_shape(const struct matching *matching, const struct wanted *wanted)
{
    const struct safetensors_tensor *tensor = &matching->file->tensors[wanted->found->tensor];
    char expected[128], found[256], taken[160] = "";
    if (same_shape(wanted, tensor)) return true;
    if (matching->other_head && layer_number(wanted) == matching->other_head->index) return true;
    checkpoint_format_shape(wanted->rank, wanted->shape, expected, sizeof expected);
    checkpoint_format_shape(tensor->rank, tensor->shape, found, sizeof found);
    if (strcmp(tensor->name, wanted->name) != 0) snprintf(taken, sizeof taken, ", taken for %s", wanted->name);
    return status_fail(matching->status, STATUS_RUNTIME, "%s: tensor %s%s: expected the shape %s, found %s",
                       matching->file->path, tensor->name, taken, expected, found);
}

/* --- matching --- */

static bool stands_for(const struct candidate *candidate, const struct wanted *wanted, bool by_number)
{
    if (!candidate->is_place || candidate->taken || strcmp(candidate->leaf, wanted->leaf) != 0) return false;
    if (by_number) return candidate->depth == 1 && candidate->place[0] == layer_number(wanted);
    return candidate->module == wanted->module;
}

static struct candidate *find(const struct matching *matching, const struct wanted *wanted, bool by_number)
{
    for (int i = 0; i < matching->candidate_count; i++)
        if (stands_for(&matching->candidates[i], wanted, by_number)) return &matching->candidates[i];
    return NULL;
}

static bool has_every_number(const struct matching *matching)
{
    for (int i = 0; i < matching->wanted_count; i++)
        if (!find(matching, &matching->wanted[i], true)) return false;
    return true;
}

/* Adds a note on the first module whose number in the file differs from its layer's. */
static void note_numbers(struct matching *matching)
{
    for (int i = 0; i < matching->wanted_count; i++) {
        const struct wanted *wanted = &matching->wanted[i];
        const struct candidate *found = wanted->found;
        if (found->depth == 1 && found->place[0] == layer_number(wanted)) continue;
        add_note(matching->names,
                 memory_format("%s: its modules are %s otherwise and were taken in their order: tensor %s is %s",
                               matching->file->path, found->is_named ? "named" : "numbered",
                               matching->file->tensors[found->tensor].name, wanted->name));
        return;
    }
}

/* Finds the file's tensor for each tensor of the network. Fails at the first missing one, after it has tried all. */
static bool assign(struct matching *matching, bool by_number)
{
    const struct wanted *missing = NULL;
    for (int i = 0; i < matching->wanted_count; i++) {
        struct wanted *wanted = &matching->wanted[i];
        wanted->found = find(matching, wanted, by_number);
        if (wanted->found) wanted->found->taken = true;
        if (!wanted->found && !missing) missing = wanted;
    }
    return !missing || fail_missing(matching, missing);
}

static bool check_shapes(const struct matching *matching)
{
    for (int i = 0; i < matching->wanted_count; i++)
        if (!check_shape(matching, &matching->wanted[i])) return false;
    return true;
}

static void rename_tensors(struct matching *matching)
{
    struct import_names *names = matching->names;
    for (int i = 0; i < matching->wanted_count; i++) {
        const struct wanted *wanted = &matching->wanted[i];
        names->text[wanted->found->tensor] = memory_copy_string(wanted->name);
    }
    for (int i = 0; i < names->count; i++)
        if (names->text[i]) matching->file->tensors[i].name = names->text[i];
}

/* Modules that are known by their names tell what is wrong by their number. */
static bool check_count(const struct matching *matching)
{
    return !matching->order || matching->module_count == matching->layer_count ||
           status_fail(matching->status, STATUS_RUNTIME,
                       "%s: expected as many modules with tensors as the network has layers with tensors, %d, found %d",
                       matching->file->path, matching->layer_count, matching->module_count);
}

static bool match(struct matching *matching, const char *order)
{
    checkpoint_each_weight(matching->network, add_wanted, matching);
    if (!gather_candidates(matching, order) || !check_count(matching)) return false;
    bool by_number = has_every_number(matching) || matching->module_count != matching->layer_count;
    if (!assign(matching, by_number) || !check_shapes(matching) || !check_extra(matching)) return false;
    note_numbers(matching);
    rename_tensors(matching);
    return true;
}

bool import_names_match(struct import_names *names, struct safetensors_file *file, const struct network *network,
                        const struct layer *other_head, const char *order, struct status *status)
{
    *names = (struct import_names){.count = file->tensor_count};
    names->text = memory_alloc((size_t)file->tensor_count, sizeof *names->text);
    struct matching matching = {
        .file = file, .names = names, .network = network, .other_head = other_head, .status = status};
    bool good = match(&matching, order);
    for (int i = 0; i < matching.wanted_count; i++) free(matching.wanted[i].name);
    free(matching.wanted);
    free(matching.candidates);
    module_order_free(matching.order);
    return good;
}

void import_names_free(struct import_names *names)
{
    for (int i = 0; i < names->count; i++) free(names->text[i]);
    for (int i = 0; i < names->note_count; i++) free(names->notes[i]);
    free(names->text);
    free(names->notes);
    *names = (struct import_names){0};
}
