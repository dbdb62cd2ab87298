//! Loops compiled for wider vector registers too, and chosen as they start. Not for AVX-512: there the compiler rather gathers
//! values of one lane across a loop's turns, which takes four times as long.

/// A loop's inputs. Its `run` is always inlined, as is what `run` calls: only then is it compiled for other registers.
pub trait Loop {
    type Output;

    fn run(self) -> Self::Output;
}

pub fn run<L: Loop>(this: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2<L: Loop>(this: L) -> L::Output {
            this.run()
        }

        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has what the function is compiled for.
            return unsafe { avx2(this) };
        }
    }
    this.run()
}
