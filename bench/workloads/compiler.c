/* compiler UNITS: works through UNITS source files. For each: a text that grows as it is read, a table of names, a
 * tree of 20,000 small nodes in four sizes, for each of 40 functions temporary lists and bitmaps that are freed
 * in another order than they were made, an output that grows; then all of it is freed but for one name in fifty,
 * which stays until the end.
 *
 * Compilers, linkers and interpreters work in phases: much is allocated together, in a few sizes, and most of
 * it is freed together. What the next phase wants has other sizes. */
#include "support/bench.h"

enum { NODES = 20000, NAMES = 4000, FUNCTIONS = 40, TEMPORARIES = 800, STAYING = 50 };

struct node {
    struct node *next;
    size_t kind;
};

static uint64_t seed = 1;
static struct node *staying;
static size_t staying_bytes;

static char *read_text(void)
{
    size_t end = 40000 + bench_below(&seed, 160000), size = 0;
    char *text = NULL;
    while (size < end) {
        text = realloc(text, size + 4096);
        if (text == NULL)
            bench_fail("realloc");
        memset(text + size, ' ', 4096);
        size += 4096;
    }
    return text;
}

/* Names that stay are short lists' heads, as those of declarations are. */
static void make_names(struct node **names)
{
    for (size_t i = 0; i < NAMES; i++) {
        size_t size = sizeof(struct node) + bench_size(&seed, 4, 40);
        struct node *name = bench_filled(size);
        if (i % STAYING == 0) {
            name->next = staying;
            staying = name;
            staying_bytes += size;
            names[i] = NULL;
        } else {
            names[i] = name;
        }
    }
}

static struct node *make_tree(void)
{
    static const size_t sizes[] = {32, 48, 72, 120};
    struct node *first = NULL;
    for (size_t i = 0; i < NODES; i++) {
        size_t kind = bench_below(&seed, 4);
        struct node *node = bench_filled(sizes[kind]);
        node->next = first;
        node->kind = kind;
        first = node;
    }
    return first;
}

static void free_tree(struct node *node)
{
    while (node != NULL) {
        struct node *next = node->next;
        free(node);
        node = next;
    }
}

/* Lists' elements, a bitmap now and then; half is freed at once, the rest when the function is done. */
static void optimise(void)
{
    void *blocks[TEMPORARIES];
    for (size_t i = 0; i < TEMPORARIES; i++) {
        blocks[i] = i % 40 == 0 ? calloc(1, 512 + bench_below(&seed, 4096)) : bench_block(24 + i % 5 * 16);
        if (i % 2 == 1) {
            size_t earlier = bench_below(&seed, i);
            free(blocks[earlier]);
            blocks[earlier] = NULL;
        }
    }
    for (size_t i = 0; i < TEMPORARIES; i++)
        free(blocks[i]);
}

static char *emit(char *output, size_t *size)
{
    size_t grown = *size + 2000 + bench_below(&seed, 4000);
    output = realloc(output, grown);
    if (output == NULL)
        bench_fail("realloc");
    memset(output + *size, 0, grown - *size);
    *size = grown;
    return output;
}

static void compile(struct node **names)
{
    char *text = read_text(), *output = NULL;
    size_t output_size = 0;
    make_names(names);
    struct node *tree = make_tree();
    free(text);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        optimise();
        output = emit(output, &output_size);
    }
    free_tree(tree);
    for (size_t i = 0; i < NAMES; i++)
        free(names[i]);
    free(output);
}

int main(int argc, char **argv)
{
    const size_t units = bench_number(argc, argv, 1);
    struct node **names = bench_table(NAMES * sizeof *names);
    bench_start();
    for (size_t i = 0; i < units; i++)
        compile(names);
    bench_stop();
    bench_settle(staying_bytes);
    free_tree(staying);
    return 0;
}
