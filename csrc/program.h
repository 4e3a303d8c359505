/* Programs: calls of kernels written down once, and run many times. Read by the build as kernels.h is. */

/* One argument of a call. */
typedef union {
    void *pointer;
    int64_t integer;
    double number;
} mw_word;

/* A kernel with its arguments in words. From each prototype of kernels.h the build makes a function of this kind, which passes
 * the words on; it returns what the kernel does, or -1 for a kernel that returns nothing. */
typedef int64_t mw_runner(const mw_word *arguments);

typedef struct {
    mw_runner *run;
    mw_word *arguments;
} mw_call;

/* Where an address changes from run to run: words[word] = base[binding] + the number of the run * stride[binding] + offset */
typedef struct {
    int64_t word, binding, offset;
} mw_use;

typedef struct {
    const mw_call *call;
    int64_t calls;
    mw_word *words;
    const mw_use *use;
    int64_t uses;
    int running;               /* 0, or the mark of the process in which a thread is at work with its memory */
} mw_program;

/* Runs of an element-wise kernel over the same `size` elements as its neighbours in a chain. For each pointer among the arguments:
 * how many bytes it moves on for each element (0: not at all), and, for a result that only the chain itself needs, how many
 * bytes apart each thread keeps a block of it. */
typedef struct {
    mw_runner *run;
    const mw_word *arguments;
    int64_t pointers;          /* the first so many arguments; after them comes the mw_walk */
    int64_t step[4], apart[4];
} mw_link;

typedef struct {
    const mw_link *link;
    int64_t links, size, block;
    int64_t threads;           /* at most, as many as there is memory for */
} mw_chain;

/* A runner whose one argument is an mw_chain: all links over one block of elements, then over the next, so that what one writes
 * is still in the first cache when the next reads it. */
int64_t mw_run_chain(const mw_word *arguments);

/* The runner of the kernel of that name (as "mw_exp_f32"), or NULL */
mw_runner *mw_find_runner(const char *name);

/* Runs the program `times` times, after any other thread that is about it. A kernel that returns something not below 0 has found a
 * fault and stops it: the number of that call, counted through all runs; else -1. seconds, unless it is NULL, has one element for
 * each call, to which its time is added. */
int64_t mw_replay(mw_program *program, void *const *base, const int64_t *stride, int64_t times, double *seconds);

