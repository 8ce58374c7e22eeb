/* The threads of a block as fibers of one thread of the CPU. A fiber runs until it waits for its warp (a shuffle) or for
 * its block (a barrier). When all fibers that are left wait for the same thing, they go on. Where a thread of a kernel
 * ends, its fiber goes on with the next one of the warp that has none, so kernels without barriers take one. */
#include "emulation.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <utility>
#include <vector>

#include <cooperative_groups.h>

enum { WARP = 32, STACK_BYTES = 256 << 10 };
enum wait { RUNNING, AT_WARP, AT_BLOCK, ENDED };

/* A place where a fiber goes on, as __builtin_setjmp keeps it. */
struct place {
    void *registers[5];
};

struct fiber {
    struct place place;
    void *stack;
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
    bool backward;    /* the last warp and thread first */
    bool for_cluster; /* the threads at the barrier wait for the cluster */
    struct cluster *cluster;
    unsigned rank;
    const std::function<void()> *kernel;
};

thread_local dim3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;
static thread_local struct block *block;
static thread_local char anchor; /* shared memory has the same distance from it in every thread of the CPU */

/* Stacks that no fiber has. Each block of a cluster is on a new thread of the CPU, which needs them again. */
static std::mutex stacks_mutex;
static std::vector<void *> stacks;

static void *take_stack()
{
    std::lock_guard<std::mutex> lock(stacks_mutex);
    if (!stacks.empty()) {
        void *last = stacks.back();
        stacks.pop_back();
        return last;
    }
    void *made = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) emulation_failed("no memory for a stack");
    return made;
}

struct fiber_pool {
    std::vector<fiber *> spare;
    ~fiber_pool()
    {
        std::lock_guard<std::mutex> lock(stacks_mutex);
        for (fiber *fiber : spare) stacks.push_back(fiber->stack), delete fiber;
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

/* A function of its own, as the compilers ask for. */
static __attribute__((noinline, noreturn)) void jump_to(struct place *to)
{
    __builtin_longjmp(to->registers, 1);
}

/* glibc's swapcontext would ask the kernel for the signal mask each time, and its longjmp looks for cleanups. */
static __attribute__((noinline)) void switch_to(struct place *from, struct place *to, ucontext_t *first)
{
    if (__builtin_setjmp(from->registers) == 0) {
        if (first) setcontext(first);
        jump_to(to);
    }
}

/* The index after the last thread of the warp that begins with `first`. */
static unsigned warp_end(unsigned first)
{
    unsigned count = (unsigned)block->threads.size();
    return first + WARP < count ? first + WARP : count;
}

static void to_scheduler(wait state)
{
    struct thread *thread = &block->threads[block->current];
    thread->state = state;
    switch_to(&thread->fiber->place, &block->scheduler, NULL);
}

static void set_current(unsigned index)
{
    block->current = index;
    threadIdx = dim3(index % blockDim.x, index / blockDim.x % blockDim.y, index / blockDim.x / blockDim.y);
}

/* Ends the current thread of the kernel, whose fiber goes on with the thread after it in this warp, where that has not
 * begun. False where there is none. */
static bool follow_on()
{
    unsigned index = block->current, first = index - index % WARP, last = warp_end(first);
    unsigned next = block->backward ? index - 1 : index + 1; /* wraps around below 0 */
    if (next < first || next >= last || block->threads[next].state != RUNNING || block->threads[next].fiber)
        return false;
    block->threads[index].state = ENDED;
    std::swap(block->threads[index].fiber, block->threads[next].fiber);
    set_current(next);
    return true;
}

/* The life of a fiber: it runs one thread of a kernel after another. */
static void fiber_main()
{
    for (;;) {
        (*block->kernel)();
        if (!follow_on()) to_scheduler(ENDED);
    }
}

static fiber *make_fiber()
{
    fiber *made = new fiber();
    made->stack = take_stack();
    getcontext(&made->start);
    made->start.uc_stack.ss_sp = made->stack, made->start.uc_stack.ss_size = STACK_BYTES;
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

/* Runs a thread until it waits or ends, and after it those that its fiber goes on with. */
static void run_thread(unsigned index)
{
    if (!block->threads[index].fiber) block->threads[index].fiber = take_fiber();
    struct fiber *fiber = block->threads[index].fiber;
    set_current(index);
    bool first = !fiber->started;
    fiber->started = true;
    switch_to(&block->scheduler, &fiber->place, first ? &fiber->start : NULL);
    struct thread *last = &block->threads[block->current];
    if (last->state == ENDED) pool.spare.push_back(fiber), last->fiber = NULL;
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
            unsigned index = block->backward ? last - 1 - i : first + i;
            if (block->threads[index].state == RUNNING) run_thread(index);
        }
    } while (release_warp(first, last));
}

/* Runs every thread up to the next barrier. Returns false where all have ended. */
static bool run_to_barrier()
{
    unsigned count = (unsigned)block->threads.size(), warps = (count + WARP - 1) / WARP;
    for (unsigned w = 0; w < warps; w++) {
        unsigned first = (block->backward ? warps - 1 - w : w) * WARP;
        run_warp(first, warp_end(first));
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
    own.backward = emulation_backward();
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
