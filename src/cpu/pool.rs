//! The thread pool: everything that runs in parallel goes through [`parallel_for`] or asks [`threads`].
//!
//! The main thread is a member of the pool: it starts work without waking anybody, and a forked child,
//! whose other workers are gone, cannot wait for them.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How much work one task must have before a second thread pays, per family.
pub mod grain {
    /// Elements of a memory-bound loop: copies, `add`, comparisons.
    pub const POINTWISE: usize = 32 * 1024;
    /// Elements copied or converted.
    pub const COPY: usize = 64 * 1024;
    /// Elements of a loop over transcendental functions.
    pub const MATH: usize = 8 * 1024;
    /// Elements read by a reduction or a scan.
    pub const REDUCE: usize = 32 * 1024;
    /// Elements moved by gathers, scatters and strided copies.
    pub const INDEX: usize = 16 * 1024;
    /// Elements sorted.
    pub const SORT: usize = 8 * 1024;
    /// Multiply-adds of a matrix product or a convolution.
    pub const GEMM: usize = 256 * 1024;
    /// Floating-point operations of a decomposition.
    pub const LINALG: usize = 128 * 1024;
}

/// Tasks per thread of long loops: enough that a thread that lost its core does not hold up the rest.
/// Short loops get one, so that each thread finds its part of the data in its own cache the next time.
const TASKS_PER_THREAD: usize = 4;
/// Where items are elements, tasks start at cache lines, whatever the elements.
const LINE: usize = 64;

/// Threads in use; 0 until the first question.
static THREADS: AtomicUsize = AtomicUsize::new(0);
static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();

/// The number of threads that a kernel may use.
#[inline]
pub fn threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => first_threads(),
        n => n,
    }
}

/// Sets the number of threads; never more than the pool was built with run at once.
pub fn set_num_threads(n: usize) {
    pool();
    THREADS.store(n.max(1), Relaxed);
}

#[cold]
fn first_threads() -> usize {
    let n = default_threads();
    match THREADS.compare_exchange(0, n, Relaxed, Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

fn default_threads() -> usize {
    ["RTENSOR_NUM_THREADS", "OMP_NUM_THREADS"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
        .filter(|&n| n > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The pool, or `None` where no thread can be had.
fn pool() -> Option<&'static rayon::ThreadPool> {
    POOL.get_or_init(build).as_ref()
}

fn build() -> Option<rayon::ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let size = cores.max(threads());
    stop_at_fork();
    let builder = rayon::ThreadPoolBuilder::new()
        .num_threads(size)
        .thread_name(|i| format!("rtensor-{i}"));
    let builder = if is_main_thread() {
        builder.use_current_thread()
    } else {
        builder
    };
    builder.build().ok()
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: both calls take nothing and cannot fail.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    std::thread::current().name() == Some("main")
}

#[cfg(unix)]
fn stop_at_fork() {
    extern "C" fn child() {
        THREADS.store(1, Relaxed);
        FORKED.store(1, Relaxed);
    }
    // SAFETY: the handler only stores to atomics, which is allowed in a forked child.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

#[cfg(not(unix))]
fn stop_at_fork() {}

/// 1 in a child forked after the pool was built: its workers do not exist there.
static FORKED: AtomicUsize = AtomicUsize::new(0);

type Body<'a> = &'a (dyn Fn(Range<usize>) + Sync);

/// Runs `body` over disjoint ranges that cover `0..n`, each of at least `grain` items where possible.
#[inline]
pub fn parallel_for(n: usize, grain: usize, body: impl Fn(Range<usize>) + Sync) {
    // A virtual call per range, so that the pool's machinery is compiled once and not per kernel.
    spread(n, grain, &body);
}

fn spread(n: usize, grain: usize, body: Body) {
    if n <= grain || n < 2 {
        if n > 0 {
            body(0..n);
        }
        return;
    }
    let threads = threads();
    let grains = n.div_ceil(grain.max(1));
    let tasks = if grains < threads * TASKS_PER_THREAD {
        grains.min(threads)
    } else {
        threads * TASKS_PER_THREAD
    };
    if threads == 1 || tasks == 1 {
        return body(0..n);
    }
    let Some(pool) = pool() else {
        return body(0..n);
    };
    // With fewer threads wanted than the pool has, as many tasks as threads keep the others idle.
    let tasks = if threads < pool.current_num_threads() {
        tasks.min(threads)
    } else {
        tasks
    };
    run_inside(|| split(n, 0..tasks, tasks, body));
}

/// Runs `work` on a thread of the pool, so that rayon's calls in it use that pool.
pub fn run_inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) if rayon::current_thread_index().is_none() && FORKED.load(Relaxed) == 0 => {
            pool.install(work)
        }
        _ => work(),
    }
}

/// Task `i` of `tasks` covers about the items `n * i / tasks .. n * (i + 1) / tasks`.
fn split(n: usize, which: Range<usize>, tasks: usize, body: Body) {
    if which.len() == 1 {
        let aligned = n / tasks >= 16 * LINE;
        let bound = |i: usize| {
            let at = (n as u128 * i as u128 / tasks as u128) as usize;
            if aligned && i < tasks {
                at & !(LINE - 1)
            } else {
                at
            }
        };
        return body(bound(which.start)..bound(which.end));
    }
    let middle = which.start + which.len() / 2;
    rayon::join(
        || split(n, which.start..middle, tasks, body),
        || split(n, middle..which.end, tasks, body),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for (n, grain) in [(0, 1), (1, 1), (7, 3), (1000, 10), (100_000, 1)] {
            let seen: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            parallel_for(n, grain, |range| {
                for i in range {
                    seen[i].fetch_add(1, Relaxed);
                }
            });
            assert!(
                seen.iter().all(|count| count.load(Relaxed) == 1),
                "n={n} grain={grain}"
            );
        }
    }
}
