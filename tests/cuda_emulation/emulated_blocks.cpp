/* The threads of a block as fibers of one thread of the CPU. A fiber runs until it ends, or waits for its warp (a
 * shuffle) or for its block (a barrier). When all fibers that are left wait for the same thing, they go on. A fiber
 * that ends is used for the next thread, so kernels without barriers take one. */
#include "emulation.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#include <cooperative_groups.h>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATION_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATION_ASAN 1
#endif
#endif
#ifdef EMULATION_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { WARP = 32, STACK_BYTES = 256 << 10 };
enum wait { RUNNING, AT_WARP, AT_BLOCK, ENDED };

/* A place where a fiber goes on, and the stack that it is on. */
struct place {
    jmp_buf registers;
    void *stack;
    size_t bytes;
};

struct fiber {
    struct place place;
    ucontext_t start;
    bool started;
};

struct thread {
    wait state;
    struct fiber *fiber;
    uint64_t handed[2]; /* words handed to the warp, in calls of even and odd number */
    unsigned exchanges;
};

/* The blocks of a cluster, each on a thread of the CPU. */
struct cluster {
    pthread_barrier_t barrier;
    unsigned blocks;
    char **anchors; /* the start of each block's shared memory */
};

struct block {
    struct place scheduler;
    std::vector<thread> threads;
    unsigned current;
    bool for_cluster; /* the threads at the barrier wait for the cluster */
    struct cluster *cluster;
    unsigned rank;
    const std::function<void()> *kernel;
};

thread_local dim3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;
static thread_local struct block *block;
static thread_local char anchor; /* shared memory has the same distance from it in every thread of the CPU */

struct fiber_pool {
    std::vector<fiber *> spare;
    ~fiber_pool()
    {
        for (fiber *fiber : spare) munmap(fiber->place.stack, STACK_BYTES), delete fiber;
    }
};
static thread_local struct fiber_pool pool;

void emulation_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "CUDA emulation: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* --- fibers --- */

/* glibc's swapcontext would ask the kernel for the signal mask each time. */
static void switch_to(struct place *from, struct place *to, ucontext_t *first)
{
#ifdef EMULATION_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, to->stack, to->bytes);
#endif
    if (_setjmp(from->registers) == 0) {
        if (first) setcontext(first);
        _longjmp(to->registers, 1);
    }
#ifdef EMULATION_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static void to_scheduler(wait state)
{
    struct thread *thread = &block->threads[block->current];
    thread->state = state;
    switch_to(&thread->fiber->place, &block->scheduler, NULL);
}

/* The life of a fiber: it runs one thread of a kernel after another. */
static void fiber_main()
{
#ifdef EMULATION_ASAN
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(NULL, &stack, &bytes);
    if (!block->scheduler.stack) block->scheduler.stack = (void *)stack, block->scheduler.bytes = bytes;
#endif
    for (;;) {
        (*block->kernel)();
        to_scheduler(ENDED);
    }
}

static fiber *make_fiber()
{
    fiber *made = new fiber();
    made->place.bytes = STACK_BYTES;
    made->place.stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made->place.stack == MAP_FAILED) emulation_failed("no memory for a stack");
    getcontext(&made->start);
    made->start.uc_stack.ss_sp = made->place.stack, made->start.uc_stack.ss_size = STACK_BYTES;
    made->start.uc_link = NULL;
    makecontext(&made->start, fiber_main, 0);
    return made;
}

static fiber *take_fiber()
{
    if (pool.spare.empty()) return make_fiber();
    fiber *last = pool.spare.back();
    pool.spare.pop_back();
    return last;
}

/* Runs a thread until it waits or ends. */
static void run_thread(unsigned index)
{
    struct thread *thread = &block->threads[index];
    if (!thread->fiber) thread->fiber = take_fiber();
    struct fiber *fiber = thread->fiber;
    block->current = index;
    threadIdx = dim3(index % blockDim.x, index / blockDim.x % blockDim.y, index / blockDim.x / blockDim.y);
    bool first = !fiber->started;
    fiber->started = true;
    switch_to(&block->scheduler, &fiber->place, first ? &fiber->start : NULL);
    if (thread->state == ENDED) pool.spare.push_back(fiber), thread->fiber = NULL;
}

/* --- waiting --- */

void emulated_block_barrier()
{
    if (block->for_cluster) emulation_failed("some threads of a block are at a block's barrier, others at a cluster's");
    to_scheduler(AT_BLOCK);
}

void emulated_cluster_barrier()
{
    block->for_cluster = true;
    to_scheduler(AT_BLOCK);
}

int emulated_lane()
{
    return (int)(block->current % WARP);
}

uint64_t emulated_warp_exchange(unsigned mask, uint64_t value, int source)
{
    struct thread *thread = &block->threads[block->current];
    unsigned first = block->current - block->current % WARP, call = thread->exchanges++;
    if (mask != 0xffffffffu) emulation_failed("a shuffle of part of a warp is not emulated");
    thread->handed[call % 2] = value;
    to_scheduler(AT_WARP);
    return block->threads[first + (unsigned)source].handed[call % 2];
}

/* True where all lanes of a warp wait for each other; then they may go on. */
static bool release_warp(unsigned first, unsigned last)
{
    unsigned waiting = 0;
    for (unsigned i = first; i < last; i++) waiting += block->threads[i].state == AT_WARP;
    if (waiting == 0) return false;
    if (waiting < WARP)
        emulation_failed("block %u,%u: %u lanes of a warp are at a shuffle, the others at a barrier or at their end",
                         blockIdx.x, blockIdx.y, waiting);
    for (unsigned i = first; i < last; i++) block->threads[i].state = RUNNING;
    return true;
}

static void run_warp(unsigned first, unsigned last)
{
    do {
        for (unsigned i = 0; i < last - first; i++) {
            unsigned index = emulation_backward() ? last - 1 - i : first + i;
            if (block->threads[index].state == RUNNING) run_thread(index);
        }
    } while (release_warp(first, last));
}

/* Runs every thread up to the next barrier. Returns false where all have ended. */
static bool run_to_barrier()
{
    unsigned count = (unsigned)block->threads.size(), warps = (count + WARP - 1) / WARP;
    for (unsigned w = 0; w < warps; w++) {
        unsigned first = (emulation_backward() ? warps - 1 - w : w) * WARP;
        run_warp(first, first + WARP < count ? first + WARP : count);
    }
    bool waiting = false;
    for (struct thread &thread : block->threads)
        if (thread.state == AT_BLOCK) waiting = true, thread.state = RUNNING;
    return waiting;
}

/* --- blocks and clusters --- */

static void run_block(dim3 blocks, dim3 threads, dim3 index, struct cluster *cluster, unsigned rank,
                      const std::function<void()> &kernel)
{
    struct block own = {};
    own.threads.resize((size_t)threads.x * threads.y * threads.z);
    own.cluster = cluster, own.rank = rank, own.kernel = &kernel;
    block = &own;
    gridDim = blocks, blockDim = threads, blockIdx = index;
    if (cluster) {
        cluster->anchors[rank] = &anchor;
        pthread_barrier_wait(&cluster->barrier);
    }
    while (run_to_barrier()) {
        if (own.for_cluster) pthread_barrier_wait(&cluster->barrier);
        own.for_cluster = false;
    }
    block = NULL;
}

struct cluster_block {
    pthread_t thread;
    dim3 blocks, threads, index;
    struct cluster *cluster;
    unsigned rank;
    const std::function<void()> *kernel;
};

static void *cluster_block_main(void *argument)
{
    struct cluster_block *b = (struct cluster_block *)argument;
    run_block(b->blocks, b->threads, b->index, b->cluster, b->rank, *b->kernel);
    return NULL;
}

static void run_cluster(dim3 blocks, dim3 threads, dim3 first, unsigned count, const std::function<void()> &kernel)
{
    std::vector<cluster_block> all(count);
    std::vector<char *> anchors(count);
    struct cluster cluster = {};
    cluster.blocks = count, cluster.anchors = anchors.data();
    pthread_barrier_init(&cluster.barrier, NULL, count);
    for (unsigned rank = 0; rank < count; rank++) {
        dim3 index(first.x + rank, first.y, first.z);
        all[rank] = {0, blocks, threads, index, &cluster, rank, &kernel};
        if (pthread_create(&all[rank].thread, NULL, cluster_block_main, &all[rank]) != 0)
            emulation_failed("no thread for a block of a cluster");
    }
    for (cluster_block &b : all) pthread_join(b.thread, NULL);
    pthread_barrier_destroy(&cluster.barrier);
}

unsigned emulated_cluster_rank()
{
    return block->rank;
}

unsigned emulated_cluster_blocks()
{
    return block->cluster ? block->cluster->blocks : 1;
}

void *emulated_cluster_address(void *mine, unsigned rank)
{
    if (!block->cluster) return mine;
    if (rank >= block->cluster->blocks) emulation_failed("block %u of a cluster of %u", rank, block->cluster->blocks);
    return block->cluster->anchors[rank] + ((char *)mine - &anchor);
}

void emulation_run_grid(dim3 blocks, dim3 threads, unsigned cluster, const std::function<void()> &kernel)
{
    uint64_t count = (uint64_t)blocks.x * blocks.y * blocks.z / cluster;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = (emulation_backward() ? count - 1 - i : i) * cluster;
        dim3 index((unsigned)(at % blocks.x), (unsigned)(at / blocks.x % blocks.y),
                   (unsigned)(at / blocks.x / blocks.y));
        if (cluster > 1)
            run_cluster(blocks, threads, index, cluster, kernel);
        else
            run_block(blocks, threads, index, NULL, 0, kernel);
    }
}
