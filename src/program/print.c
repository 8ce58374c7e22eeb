/* Prints a program as a table (program.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "program/op_title.h"
#include "program/passes.h"
#include "util/memory.h"
#include "util/thousands.h"

enum column { NUMBER, TITLE, READS, WRITES, SHAPE, MFLOP, MIB, LIFE, LAYERS, LAUNCHES, MOVED, STREAM, NOTE, COLUMNS };

static const struct {
    const char *head;
    bool right; /* numbers end at the same place */
} columns[COLUMNS] = {
    [NUMBER] = {"#", true},       [TITLE] = {"op", false},
    [READS] = {"reads", false},   [WRITES] = {"writes", false},
    [SHAPE] = {"shape", true},    [MFLOP] = {"MFLOP", true},
    [MIB] = {"MiB", true},        [LIFE] = {"life", true},
    [LAYERS] = {"layer", true},   [LAUNCHES] = {"launches", true},
    [MOVED] = {"MB moved", true}, [STREAM] = {"stream", true},
    [NOTE] = {"", false},
};

enum { CELL = 160 };
struct line {
    char cell[COLUMNS][CELL];
};

void program_tensor_name(const struct program *program, int tensor, char *text, size_t size)
{
    const struct program_tensor *at = &program->tensors[tensor];
    const char *more = at->kind == TENSOR_FLAT ? ".." : "";
    if (at->name_index >= 0)
        snprintf(text, size, "%s%d%s", at->name, at->name_index, more);
    else
        snprintf(text, size, "%s%s", at->name, more);
}

/* --- cells --- */

/* Lists the tensors that the op reads, or those that it changes. */
static void list_tensors(const struct program *program, const struct op *op, bool changed, char *cell)
{
    size_t used = 0;
    cell[0] = '\0';
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        enum operand_role role = op_row(op->kind)->operand[slot].role;
        if (op->tensor[slot] < 0 || changed != (role != OPERAND_READ)) continue;
        char name[CELL];
        program_tensor_name(program, op->tensor[slot], name, sizeof name);
        int length =
            snprintf(cell + used, CELL - used, "%s%s%s", used ? ", " : "", name, role == OPERAND_UPDATE ? "*" : "");
        used += (size_t)length < CELL - used ? (size_t)length : CELL - used - 1;
    }
}

/* The tensor by which the op is described: its main output, else the first one that it writes, else that it updates. */
static int result_of(const struct op *op)
{
    const struct op_row *row = op_row(op->kind);
    int updated = -1;
    if (row->output >= 0 && op->tensor[row->output] >= 0) return op->tensor[row->output];
    for (int slot = 0; slot < OP_OPERANDS; slot++) {
        if (op->tensor[slot] < 0) continue;
        if (row->operand[slot].role == OPERAND_WRITE) return op->tensor[slot];
        if (row->operand[slot].role == OPERAND_UPDATE && updated < 0) updated = op->tensor[slot];
    }
    return updated;
}

/* Writes "32x64x16x16", "32x10" for vectors of a batch, or "512" for a vector. */
static void format_shape(const struct program_tensor *tensor, char *cell)
{
    struct shape shape = tensor->shape;
    char sample[CELL / 2];
    shape_format(shape, sample, sizeof sample);
    if (tensor->kind == TENSOR_FLAT)
        snprintf(cell, CELL, "%s", thousands_format(shape.c).text);
    else if (shape.n > 1 || tensor->batch)
        snprintf(cell, CELL, "%" PRId64 "x%s", shape.n, sample);
    else
        snprintf(cell, CELL, "%s", sample);
}

/* Writes a number with one digit behind the point, or "-" where that would be zero. */
static void format_tenths(double number, char *cell)
{
    int64_t tenths = (int64_t)(number * 10 + 0.5);
    if (tenths == 0)
        snprintf(cell, CELL, "-");
    else
        snprintf(cell, CELL, "%s.%d", thousands_format(tenths / 10).text, (int)(tenths % 10));
}

static void format_range(int first, int last, char *cell)
{
    if (first == last)
        snprintf(cell, CELL, "%d", first);
    else
        snprintf(cell, CELL, "%d-%d", first, last);
}

static void format_life(const struct program *program, const struct program_life *lives, int tensor, char *cell)
{
    if (program->tensors[tensor].space != SPACE_WORK)
        snprintf(cell, CELL, "-");
    else if (program->tensors[tensor].keep)
        snprintf(cell, CELL, "kept");
    else
        format_range(lives[tensor].first + 1, lives[tensor].last + 1, cell);
}

static const char *note_of(const struct program *program, int op)
{
    if (program->ops[op].attached) return "within the op before it";
    if (program->ops[op].join) return "waits for every stream";
    return op < program->once_count ? "once" : "";
}

static void fill_launches(const struct program *program, int op, struct line *line)
{
    struct program_launches launches = program_launches(program, &program->ops[op]);
    snprintf(line->cell[LAUNCHES], CELL, "%d", launches.count);
    format_tenths((double)launches.bytes / 1e6, line->cell[MOVED]);
}

static bool has_streams(const struct program *program)
{
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].stream > 0) return true;
    return false;
}

static void fill_line(const struct program *program, const struct program_life *lives, int op, struct line *line)
{
    const struct op *at = &program->ops[op];
    int result = result_of(at);
    snprintf(line->cell[NUMBER], CELL, "%d", op + 1);
    op_title(program, at, line->cell[TITLE], CELL);
    list_tensors(program, at, false, line->cell[READS]);
    list_tensors(program, at, true, line->cell[WRITES]);
    format_shape(&program->tensors[result], line->cell[SHAPE]);
    format_tenths(program_flops(program, at) / 1e6, line->cell[MFLOP]);
    format_tenths((double)program_bytes(program, at) / 0x1p20, line->cell[MIB]);
    format_life(program, lives, result, line->cell[LIFE]);
    if (at->layer >= 0)
        format_range(at->layer, at->layer + at->layer_count - 1, line->cell[LAYERS]);
    else
        snprintf(line->cell[LAYERS], CELL, "-");
    if (program->backend->counts_launches) fill_launches(program, op, line);
    if (has_streams(program)) snprintf(line->cell[STREAM], CELL, "%d", at->stream + 1);
    snprintf(line->cell[NOTE], CELL, "%s", note_of(program, op));
}

/* --- the table --- */

static void print_line(const struct line *line, const int *widths, FILE *out)
{
    char text[COLUMNS * CELL + 2 * COLUMNS + 1];
    size_t used = 0;
    for (int c = 0; c < COLUMNS; c++) {
        int width = columns[c].right ? widths[c] : -widths[c];
        if (widths[c] == 0) continue; /* a column that the backend does not fill, or no note */
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%*s", c ? "  " : "", width, line->cell[c]);
    }
    while (used > 0 && text[used - 1] == ' ') text[--used] = '\0';
    fprintf(out, "%s\n", text);
}

static void print_sum(const struct program *program, FILE *out)
{
    char flops_text[CELL], block[CELL] = "not placed";
    double flops = 0, alive = (double)program_work_bound(program) / 0x1p20;
    for (int i = 0; i < program->op_count; i++) flops += program_flops(program, &program->ops[i]);
    format_tenths(flops / 1e6, flops_text);
    if (program->work_bytes > 0) snprintf(block, CELL, "%.1f MiB", (double)program->work_bytes / 0x1p20);
    fprintf(out, "%d ops for a batch of %" PRId64 ": %s MFLOP; working memory: %s, alive at once: %.1f MiB",
            program->op_count, program->max_n, flops_text, block, alive);
    struct program_launches sum = program_launches_sum(program);
    if (program->backend->counts_launches)
        fprintf(out, "; %d launches move %.1f MB", sum.count, (double)sum.bytes / 1e6);
    fputc('\n', out);
}

static bool has_column(const struct program *program, int column)
{
    if (column == LAUNCHES || column == MOVED) return program->backend->counts_launches;
    return column != STREAM || has_streams(program);
}

void program_print(const struct program *program, FILE *out)
{
    struct line *lines = memory_alloc((size_t)program->op_count + 1, sizeof *lines);
    struct program_life *lives = program_lives(program);
    int widths[COLUMNS] = {0};
    for (int c = 0; c < COLUMNS; c++)
        if (has_column(program, c)) snprintf(lines[0].cell[c], CELL, "%s", columns[c].head);
    for (int i = 0; i < program->op_count; i++) fill_line(program, lives, i, &lines[i + 1]);
    for (int i = 0; i <= program->op_count; i++)
        for (int c = 0; c < COLUMNS; c++) {
            int length = (int)strlen(lines[i].cell[c]);
            if (length > widths[c]) widths[c] = length;
        }
    for (int i = 0; i <= program->op_count; i++) print_line(&lines[i], widths, out);
    print_sum(program, out);
    free(lives);
    free(lines);
}
