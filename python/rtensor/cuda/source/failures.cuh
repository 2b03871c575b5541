// Tells the host of an index that names no place (`_failures.py`).
INLINE void report(i64 failures, i64 index, i64 size) {
    volatile i64* words = (volatile i64*)failures;
    words[1] = index;
    words[2] = size;
    __threadfence_system();
    words[0] = 1;
}
