/* Tests that the images of a mapped file are read before they are needed, and that nothing else happens. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config_support.h"
#include "data/pack.h"
#include "data/pack_dataset.h"
#include "data/read_ahead.h"
#include "dataset_support.h"

TestSuite(read_ahead, .init = enter_folder, .fini = leave_folder);

enum { IMAGES = 6000, SAMPLE = 3 * 64 * 64 };

static const char config[] = "[data]\ndataset = pack\npath = a.pack\n";

static struct dataset load(const char *text)
{
    struct experiment experiment;
    struct dataset dataset;
    struct status status = {0};
    cr_assert(load_text(&experiment, text, &status) &&
                  dataset_files_from_experiment(&dataset, &experiment, NULL, &status),
              "%s", status.message);
    experiment_free(&experiment);
    return dataset;
}

/* Writes a packed file of images whose bytes hold their number. */
static void write_file(void)
{
    struct status status = {0};
    int64_t bytes;
    struct experiment experiment;
    struct dataset dataset = {.channels = 3, .height = 64, .width = 64, .classes = 2};
    image_set_alloc(&dataset, &dataset.train, IMAGES, SAMPLE);
    for (int i = 0; i < IMAGES; i++) {
        memset(dataset.train.pixels + (size_t)i * SAMPLE, i, SAMPLE);
        dataset.train.labels[i] = (uint16_t)(i % 2);
    }
    cr_assert(load_text(&experiment, "[data]\ndataset = synthetic\n", &status));
    cr_assert(pack_dataset(&dataset, &experiment, "a.pack", &bytes, &status), "%s", status.message);
    experiment_free(&experiment);
    dataset_free(&dataset);
}

/* Drops the file's pages from memory. Tells whether that worked: tmpfs has no other place for them, and the kernel keeps
 * those that something else holds at the moment. */
static bool drop_pages(struct dataset *dataset)
{
    unsigned char present = 0;
    void *start = NULL;
    for (int i = 0; i < dataset->memory_count; i++)
        if (dataset->memory[i].mapped > 0) start = dataset->memory[i].address;
    size_t size = PACK_HEADER + (size_t)IMAGES * SAMPLE, pages = size / 4096;
    int file = open("a.pack", O_RDONLY);
    cr_assert(start && file >= 0 && fsync(file) == 0);
    cr_assert(madvise(start, size, MADV_DONTNEED) == 0); /* out of this process; they are read again */
    cr_assert(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
    close(file);
    for (size_t i = 0; i < 100 && !(present & 1); i++)
        cr_assert(mincore((char *)start + pages * i / 100 * 4096, 1, &present) == 0);
    return !(present & 1);
}

static bool is_present(const struct dataset *dataset, int64_t sample)
{
    unsigned char present = 0;
    uintptr_t address = (uintptr_t)image_set_pixels(&dataset->train, sample, SAMPLE);
    cr_assert(mincore((void *)(address / 4096 * 4096), 1, &present) == 0);
    return present & 1;
}

static int64_t count_present(const struct dataset *dataset, const int32_t *order, int64_t from, int64_t to)
{
    int64_t count = 0;
    for (int64_t i = from; i < to; i++) count += is_present(dataset, order[i]);
    return count;
}

/* Waits until nine tenths of these images are in memory, as long as more of them come: the kernel may decline its advice
 * where memory is short, and a busy disk is slow. */
static void expect_read(const struct dataset *dataset, const int32_t *order, int64_t from, int64_t to)
{
    int64_t count = 0, before = -1;
    for (int still = 0; still < 200; still = before < count ? 0 : still + 1) {
        if (count > before) before = count;
        count = count_present(dataset, order, from, to);
        if (count >= (to - from) * 9 / 10) return;
        usleep(50000);
    }
    cr_expect_fail("%d of the images %d to %d were read", (int)count, (int)from, (int)to);
}

Test(read_ahead, the_coming_images_are_read_in_the_order_of_the_epoch)
{
    static int32_t order[IMAGES];
    write_file();
    struct dataset dataset = load(config);
    if (!drop_pages(&dataset)) cr_skip_test("the pages of a file here cannot be dropped");
    epoch_order(order, IMAGES, FIRST_EPOCH_SHUFFLED, 1, 0);
    struct read_ahead *ahead = read_ahead_start(&dataset, &dataset.train);
    cr_assert_not_null(ahead);
    read_ahead_follow(ahead, order);
    expect_read(&dataset, order, 0, 2000);
    cr_expect_lt(count_present(&dataset, order, 4500, 6000), 1400, "no more than what is near");
    read_ahead_move(ahead, 4000);
    expect_read(&dataset, order, 4000, 6000);
    for (int i = 0; i < IMAGES; i += 100)
        cr_expect_eq(*image_set_pixels(&dataset.train, order[i], SAMPLE), (uint8_t)order[i]);
    read_ahead_stop(ahead);
    dataset_free(&dataset);
}

/* The sets of other formats are in memory. */
Test(read_ahead, there_is_nothing_to_read_where_a_set_is_in_memory)
{
    struct dataset dataset = load("[data]\ndataset = synthetic\nsynthetic_train = 10\nsynthetic_size = 4\n");
    cr_expect_null(read_ahead_start(&dataset, &dataset.train));
    cr_expect_not(dataset_view(&dataset, &dataset.train).mapped);
    cr_expect_not(image_set_is_mapped(&dataset, &dataset.validation));
    read_ahead_follow(NULL, NULL), read_ahead_move(NULL, 1), read_ahead_rest(NULL, true), read_ahead_stop(NULL);
    dataset_free(&dataset);
}

Test(read_ahead, it_may_end_at_any_time)
{
    static int32_t order[IMAGES];
    write_file();
    struct dataset dataset = load(config);
    for (int i = 0; i < 50; i++) {
        (void)drop_pages(&dataset);
        epoch_order(order, IMAGES, FIRST_EPOCH_SHUFFLED, 1, i);
        struct read_ahead *ahead = read_ahead_start(&dataset, &dataset.train);
        if (i % 5 > 0) read_ahead_follow(ahead, order);
        if (i % 5 > 1) read_ahead_move(ahead, 100 * i);
        if (i % 5 > 2) read_ahead_rest(ahead, true), read_ahead_rest(ahead, false);
        if (i % 5 > 3) read_ahead_follow(ahead, order);
        read_ahead_stop(ahead);
    }
    cr_expect(image_set_is_mapped(&dataset, &dataset.train) && dataset_view(&dataset, &dataset.train).mapped);
    dataset_free(&dataset);
}
