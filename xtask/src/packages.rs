//! Installs packages of the system.

use std::io::{IsTerminal, stdin};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manager {
    Apt,
    Dnf,
    Pacman,
}

/// How a command gets root's rights.
#[derive(Clone, Copy)]
enum Rights {
    Root,
    Sudo,
    /// `sudo` would ask for a password, and somebody is there to type it.
    SudoAsks,
}

/// Installs what was not found: the packages that have it, none where a manager has no such package.
pub fn install(missing: &str, packages: impl Fn(Manager) -> Vec<&'static str>) -> Result<(), String> {
    let reason = format!("no {missing} found");
    let Some(manager) = Manager::find() else {
        return Err(format!(
            "{reason}, and none of apt-get, dnf and pacman to install one. Install it as your system does it, with what \
             it needs (drivers: Vulkan's loader, or EGL)."
        ));
    };
    let packages = packages(manager);
    if packages.is_empty() {
        return Err(format!("{reason}, and {} has no package of it.", manager.program()));
    }
    let commands = manager.commands(&packages);
    let lines: Vec<String> = commands.iter().map(|command| command.join(" ")).collect();
    let by_hand = format!("As root, run: {}", lines.join(" && "));
    let Some(rights) = Rights::find() else {
        return Err(format!("{reason}, and no permission to install one. {by_hand}"));
    };
    eprintln!("{reason}: installing with:");
    // The last one decides: a third party's package list out of reach need not stop the installation.
    if commands.iter().fold(false, |_, command| run(&rights.wrap(command))) {
        Ok(())
    } else {
        Err(format!("{reason}, and its installation failed (see above). {by_hand}"))
    }
}

impl Manager {
    fn find() -> Option<Self> {
        [Self::Apt, Self::Dnf, Self::Pacman].into_iter().find(|manager| succeeds(&[manager.program(), "--version"]))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
        }
    }

    fn commands(self, packages: &[&'static str]) -> Vec<Vec<&'static str>> {
        // Each leaves a package alone that is there already.
        let install: &[&str] = match self {
            Self::Apt => &[
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
                "--no-upgrade",
            ],
            Self::Dnf => &["dnf", "install", "-y", "--setopt=install_weak_deps=False"],
            Self::Pacman => &["pacman", "-S", "--needed", "--noconfirm"],
        };
        let install = [install, packages].concat();
        match self {
            // A fresh system has no package lists.
            Self::Apt => vec![vec!["apt-get", "update"], install],
            // dnf fetches its own, and pacman's may only be renewed with the whole system.
            Self::Dnf | Self::Pacman => vec![install],
        }
    }
}

impl Rights {
    fn find() -> Option<Self> {
        let id = Command::new("id").arg("-u").output().ok()?;
        if id.stdout.trim_ascii() == b"0" {
            Some(Self::Root)
        } else if succeeds(&["sudo", "-n", "true"]) {
            Some(Self::Sudo)
        } else if succeeds(&["sudo", "--version"]) && stdin().is_terminal() {
            Some(Self::SudoAsks)
        } else {
            None
        }
    }

    fn wrap<'a>(self, command: &[&'a str]) -> Vec<&'a str> {
        let prefix: &[&str] = match self {
            Self::Root => &[],
            Self::Sudo => &["sudo", "-n"],
            Self::SudoAsks => &["sudo"],
        };
        [prefix, command].concat()
    }
}

fn run(command: &[&str]) -> bool {
    eprintln!("    {}", command.join(" "));
    Command::new(command[0]).args(&command[1..]).status().is_ok_and(|status| status.success())
}

/// Whether this runs, and says that all is well.
pub fn succeeds(command: &[&str]) -> bool {
    let mut probe = Command::new(command[0]);
    probe.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manager_leaves_alone_what_is_there() {
        let line = |manager: Manager| manager.commands(&["mesa", "egl"]).pop().unwrap().join(" ");
        assert_eq!(
            line(Manager::Apt),
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-upgrade mesa egl"
        );
        assert_eq!(line(Manager::Dnf), "dnf install -y --setopt=install_weak_deps=False mesa egl");
        assert_eq!(line(Manager::Pacman), "pacman -S --needed --noconfirm mesa egl");
    }

    #[test]
    fn only_apt_refreshes_its_lists() {
        let commands = |manager: Manager| manager.commands(&["mesa"]);
        assert_eq!(commands(Manager::Apt)[0], ["apt-get", "update"]);
        assert_eq!([Manager::Apt, Manager::Dnf, Manager::Pacman].map(|manager| commands(manager).len()), [2, 1, 1]);
    }

    #[test]
    fn sudo_asks_only_where_somebody_can_answer() {
        let wrapped = |rights: Rights| rights.wrap(&["apt-get", "update"]).join(" ");
        assert_eq!(wrapped(Rights::Root), "apt-get update");
        assert_eq!(wrapped(Rights::Sudo), "sudo -n apt-get update");
        assert_eq!(wrapped(Rights::SudoAsks), "sudo apt-get update");
    }
}
