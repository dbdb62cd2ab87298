//! What is asked for on the command line.

pub const HELP: &str = "\
cargo xtask demo              run the quickstart example, with a GPU driver installed first where there is none
cargo xtask test              check the format, lints, documentation and all tests, as CI does
cargo xtask test -- ARGS...   the same, with ARGS handed to `cargo test`
cargo xtask swiftshader       run the tests on SwiftShader, which comes with Debian's chromium, as CI does; not the examples, nor
                              what is the same everywhere (plans, shaders' text and addresses, the oracle against torch)
cargo xtask test-web [WORD]   run the suite's numbers, and what is other in browsers, in headless Chromium, as CI does; or
                              the tests with WORD in their names
cargo xtask test-page         only the page, used as a person would, which test-web does as well
cargo xtask test-burn [WORD]  build the crate for burn's users, with burn (22 minutes on two cores, the first time), and run its
                              tests and example; or its tests with WORD in their names
cargo xtask test-mpi          run what shares a batch over processes, by mpirun with 1 to 4 of them, as CI does
cargo xtask web               build the page that shows, checks and measures norms in a browser, and serve it on this machine
cargo xtask fuzz [SECONDS]    run random cases against float64 until enough fail; GPUNORM_TEST_SEED says where to begin
cargo xtask soak [SECONDS]    run mixed work in eight threads, an hour or so many seconds: results right, memory flat
cargo xtask bench [ARGS...]   time every norm against copying its bytes and against the CPU, or the cases called ARGS;
                              --help lists the options
cargo xtask bench-mpi         time the batch norms of ResNet-50 over 1, 2 and 4 processes, and what of it is exchange
cargo xtask occupancy         compile the bench's kernels for AMD's GPUs, without one; fails where a budget is broken
cargo xtask pack FOLDER       gather what runs the bench, its peers and the tests on a machine without Rust
cargo xtask shaders [--msl] [--hlsl]
                              write every linked kernel to target/shaders/, for editors and other compilers; and what Metal
                              and DX12 would get, whose HLSL has to compile by glslang
cargo xtask package           pack the crate, and build and test what is in the package alone
cargo xtask msrv              build the library with the oldest compiler that it allows
cargo xtask api [--bless]     compare the public interface with docs/public-api.txt, or write that
cargo xtask deny              check licences, advisories and sources of all dependencies
cargo xtask help              print this list

A step that succeeds is one line with its time, one that fails shows all that it printed. With --verbose each shows it as
it comes; without, it is in target/xtask/ afterwards.";

#[derive(Debug, PartialEq)]
pub enum Command<'a> {
    Help,
    Demo,
    /// With these for `cargo test`.
    Test(Vec<&'a str>),
    SwiftShader,
    /// Those with this in their names.
    TestWeb(&'a str),
    TestPage,
    /// Those with this in their names.
    TestBurn(&'a str),
    TestMpi,
    BenchMpi,
    Web,
    /// For so many seconds.
    Fuzz(&'a str),
    /// For so many seconds.
    Soak(&'a str),
    Bench(Vec<&'a str>),
    Occupancy,
    /// Into this folder.
    Pack(&'a str),
    /// With these languages beside WGSL.
    Shaders(Vec<&'a str>),
    Package,
    Msrv,
    /// With `--bless`, or nothing.
    Api(Vec<&'a str>),
    Deny,
}

/// The command, and whether its steps show what they print.
pub fn parse<'a>(args: &[&'a str]) -> Result<(Command<'a>, bool), String> {
    // What follows `--` is not xtask's.
    let own = args.iter().position(|&arg| arg == "--").unwrap_or(args.len());
    let is_verbose = |arg: &&str| matches!(*arg, "--verbose" | "-v");
    let verbose = args[..own].iter().any(is_verbose);
    let words: Vec<&str> = args[..own].iter().filter(|arg| !is_verbose(arg)).chain(&args[own..]).copied().collect();
    let command = match words[..] {
        [] | ["help" | "--help" | "-h"] => Command::Help,
        ["demo"] => Command::Demo,
        ["test"] => Command::Test(vec![]),
        ["test", "--", ref rest @ ..] => Command::Test(rest.to_vec()),
        ["swiftshader"] => Command::SwiftShader,
        ["test-web"] => Command::TestWeb(""),
        ["test-web", word] if !word.starts_with('-') => Command::TestWeb(word),
        ["test-page"] => Command::TestPage,
        ["test-burn"] => Command::TestBurn(""),
        ["test-burn", word] if !word.starts_with('-') => Command::TestBurn(word),
        ["test-mpi"] => Command::TestMpi,
        ["bench-mpi"] => Command::BenchMpi,
        ["web"] => Command::Web,
        ["fuzz"] => Command::Fuzz("1000000000"),
        ["fuzz", seconds] if seconds.parse::<u64>().is_ok() => Command::Fuzz(seconds),
        ["soak"] => Command::Soak("3600"),
        ["soak", seconds] if seconds.parse::<u32>().is_ok() => Command::Soak(seconds),
        ["bench", ref rest @ ..] => Command::Bench(rest.to_vec()),
        ["occupancy"] => Command::Occupancy,
        ["pack", folder] if !folder.starts_with('-') => Command::Pack(folder),
        ["shaders", ref languages @ ..] if languages.iter().all(|word| matches!(*word, "--msl" | "--hlsl")) => {
            Command::Shaders(languages.to_vec())
        }
        ["package"] => Command::Package,
        ["msrv"] => Command::Msrv,
        ["api"] => Command::Api(vec![]),
        ["api", "--bless"] => Command::Api(vec!["--bless"]),
        ["deny"] => Command::Deny,
        _ => return Err(format!("no such command: {}\n\n{HELP}", words.join(" "))),
    };
    Ok((command, verbose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command<'a>(args: &[&'a str]) -> Command<'a> {
        parse(args).unwrap().0
    }

    #[test]
    fn commands_take_what_the_help_says() {
        assert_eq!(command(&[]), Command::Help);
        assert_eq!(command(&["demo"]), Command::Demo);
        assert_eq!(command(&["test"]), Command::Test(vec![]));
        assert_eq!(command(&["test", "--", "--test", "suite"]), Command::Test(vec!["--test", "suite"]));
        assert_eq!(command(&["swiftshader"]), Command::SwiftShader);
        assert_eq!(command(&["test-web"]), Command::TestWeb(""));
        assert_eq!(command(&["test-web", "memory"]), Command::TestWeb("memory"));
        assert_eq!(command(&["test-page"]), Command::TestPage);
        assert_eq!(command(&["test-burn"]), Command::TestBurn(""));
        assert_eq!(command(&["test-burn", "records"]), Command::TestBurn("records"));
        assert_eq!(command(&["test-mpi"]), Command::TestMpi);
        assert_eq!(command(&["bench-mpi"]), Command::BenchMpi);
        assert_eq!(command(&["web"]), Command::Web);
        assert_eq!(command(&["fuzz", "60"]), Command::Fuzz("60"));
        assert_eq!(command(&["soak"]), Command::Soak("3600"));
        assert_eq!(command(&["bench", "batch", "--quick"]), Command::Bench(vec!["batch", "--quick"]));
        assert_eq!(command(&["pack", "folder"]), Command::Pack("folder"));
        assert_eq!(command(&["occupancy"]), Command::Occupancy);
        assert_eq!(command(&["shaders"]), Command::Shaders(vec![]));
        assert_eq!(command(&["shaders", "--msl", "--hlsl"]), Command::Shaders(vec!["--msl", "--hlsl"]));
        assert_eq!(command(&["package"]), Command::Package);
        assert_eq!(command(&["msrv"]), Command::Msrv);
        assert_eq!(command(&["api"]), Command::Api(vec![]));
        assert_eq!(command(&["api", "--bless"]), Command::Api(vec!["--bless"]));
        assert_eq!(command(&["deny"]), Command::Deny);
        for wrong in [
            &["demos"][..],
            &["demo", "now"],
            &["occupancy", "batch"],
            &["test", "suite"],
            &["fuzz", "long"],
            &["soak", "-1"],
            &["api", "bless"],
            &["pack"],
            &["pack", "-x"],
            &["shaders", "--glsl"],
        ] {
            let told = parse(wrong).unwrap_err();
            assert!(told.starts_with(&format!("no such command: {}\n", wrong.join(" "))), "{told}");
        }
    }

    #[test]
    fn verbose_is_a_word_of_its_own_anywhere() {
        let test = |args| Command::Test(args);
        assert_eq!(parse(&["test"]), Ok((test(vec![]), false)));
        assert_eq!(parse(&["test", "--verbose"]), Ok((test(vec![]), true)));
        assert_eq!(parse(&["-v", "test", "--", "x"]), Ok((test(vec!["x"]), true)));
        assert_eq!(parse(&["bench", "rms", "-v"]), Ok((Command::Bench(vec!["rms"]), true)));
        // Cargo's, or the tests'.
        assert_eq!(parse(&["test", "--", "--verbose"]), Ok((test(vec!["--verbose"]), false)));
    }
}
