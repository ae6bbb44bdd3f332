/* The plain alternative to the wide tree, for compare/trees.py: a binary max-tree in one array.
 *
 * Node i has the children 2 i and 2 i + 1, node 1 is the root, and the leaves are nodes width, width + 1, ... with
 * width the power of two that holds n; leaves past n are -inf. Compiled on the fly; no part of the package.
 */
#include <math.h>
#include <stdint.h>

/* All inner nodes from the leaves, which the caller has written. Cost: O(width). */
void binary_build(float *node, int64_t width)
{
    for (int64_t i = width - 1; i >= 1; --i)
        node[i] = node[2 * i] > node[2 * i + 1] ? node[2 * i] : node[2 * i + 1];
}

/* Write leaves in order; each climbs until a node does not change. Cost: O(count log n). */
void binary_update_many(float *node, int64_t width, const int64_t *indices, const float *values, int64_t count)
{
    for (int64_t j = 0; j < count; ++j) {
        int64_t i = width + indices[j];
        node[i] = values[j];
        for (i >>= 1; i >= 1; i >>= 1) {
            const float best = node[2 * i] > node[2 * i + 1] ? node[2 * i] : node[2 * i + 1];
            if (node[i] == best)
                break;
            node[i] = best;
        }
    }
}

/* The indices of leaves above t, ascending, into `out`; returns how many. Cost: O(k log(n / k)) nodes for k hits. */
int64_t binary_query(const float *node, int64_t width, float t, int64_t *out)
{
    int64_t stack[64], found = 0;
    int top = 0;
    if (!(node[1] > t))
        return 0;
    stack[top++] = 1;
    while (top) {
        const int64_t i = stack[--top];
        if (i >= width) {
            out[found++] = i - width;
            continue;
        }
        if (node[2 * i + 1] > t)
            stack[top++] = 2 * i + 1;
        if (node[2 * i] > t)
            stack[top++] = 2 * i;
    }
    return found;
}
