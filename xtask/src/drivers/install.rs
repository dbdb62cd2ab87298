//! Installs drivers with the system's package manager.

use std::io::{IsTerminal, stdin};
use std::process::{Command, Stdio};

use super::driver::{Driver, list};

#[derive(Clone, Copy)]
enum Manager {
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

pub fn install(missing: &[Driver]) -> Result<(), String> {
    let reason = format!("no {} found", list(missing));
    let Some(manager) = Manager::find() else {
        return Err(format!(
            "{reason}, and none of apt-get, dnf and pacman to install one. Install it as your system does it, with the \
             loader that it needs (Vulkan's, or EGL)."
        ));
    };
    if !missing.iter().all(|driver| manager.has(*driver)) {
        return Err(format!("{reason}, and {} has no package of it.", manager.program()));
    }
    let commands = manager.commands(missing);
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

    fn commands(self, drivers: &[Driver]) -> Vec<Vec<&'static str>> {
        let install = self.install(drivers);
        match self {
            // A fresh system has no package lists.
            Self::Apt => vec![vec!["apt-get", "update"], install],
            // dnf fetches its own, and pacman's may only be renewed with the whole system.
            Self::Dnf | Self::Pacman => vec![install],
        }
    }

    fn install(self, drivers: &[Driver]) -> Vec<&'static str> {
        // Each leaves a package alone that is there already.
        let mut command = match self {
            Self::Apt => vec![
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
                "--no-upgrade",
            ],
            Self::Dnf => vec!["dnf", "install", "-y", "--setopt=install_weak_deps=False"],
            Self::Pacman => vec!["pacman", "-S", "--needed", "--noconfirm"],
        };
        for driver in drivers {
            for package in self.packages(*driver) {
                if !command.contains(package) {
                    command.push(package);
                }
            }
        }
        command
    }

    fn has(self, driver: Driver) -> bool {
        !self.packages(driver).is_empty()
    }

    fn packages(self, driver: Driver) -> &'static [&'static str] {
        match (self, driver) {
            (Self::Apt, Driver::Vulkan | Driver::Lavapipe | Driver::Radv) => &["mesa-vulkan-drivers", "libvulkan1"],
            (Self::Apt, Driver::MesaEgl) => &["libegl1", "libegl-mesa0", "libgl1-mesa-dri"],
            (Self::Dnf, Driver::Vulkan | Driver::Lavapipe | Driver::Radv) => &["mesa-vulkan-drivers", "vulkan-loader"],
            (Self::Dnf, Driver::MesaEgl) => &["libglvnd-egl", "mesa-libEGL", "mesa-dri-drivers"],
            (Self::Pacman, Driver::Vulkan | Driver::Lavapipe) => &["vulkan-swrast", "vulkan-icd-loader"],
            (Self::Pacman, Driver::Radv) => &["vulkan-radeon", "vulkan-icd-loader"],
            (Self::Pacman, Driver::MesaEgl) => &["libglvnd", "mesa"],
            (Self::Apt, Driver::SwiftShader) => &["chromium", "libvulkan1"],
            (Self::Dnf | Self::Pacman, Driver::SwiftShader) => &[],
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

fn succeeds(command: &[&str]) -> bool {
    let mut probe = Command::new(command[0]);
    probe.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Driver::{Lavapipe, MesaEgl, SwiftShader, Vulkan};

    fn line(manager: Manager, drivers: &[Driver]) -> String {
        manager.install(drivers).join(" ")
    }

    #[test]
    fn each_manager_installs_the_drivers_by_its_own_names() {
        assert_eq!(
            line(Manager::Apt, &[Lavapipe, MesaEgl]),
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-upgrade \
             mesa-vulkan-drivers libvulkan1 libegl1 libegl-mesa0 libgl1-mesa-dri"
        );
        assert_eq!(
            line(Manager::Dnf, &[Lavapipe, MesaEgl]),
            "dnf install -y --setopt=install_weak_deps=False mesa-vulkan-drivers vulkan-loader libglvnd-egl \
             mesa-libEGL mesa-dri-drivers"
        );
        assert_eq!(
            line(Manager::Pacman, &[Lavapipe, MesaEgl]),
            "pacman -S --needed --noconfirm vulkan-swrast vulkan-icd-loader libglvnd mesa"
        );
    }

    #[test]
    fn only_apt_has_swiftshader() {
        assert!(line(Manager::Apt, &[SwiftShader]).ends_with("--no-upgrade chromium libvulkan1"));
        let has = |manager: Manager| [Vulkan, Lavapipe, MesaEgl, SwiftShader].map(|driver| manager.has(driver));
        assert_eq!(has(Manager::Apt), [true; 4]);
        assert_eq!([has(Manager::Dnf), has(Manager::Pacman)], [[true, true, true, false]; 2]);
    }

    #[test]
    fn only_what_is_missing_is_installed_and_once() {
        assert!(line(Manager::Dnf, &[MesaEgl]).ends_with("=False libglvnd-egl mesa-libEGL mesa-dri-drivers"));
        assert_eq!(line(Manager::Apt, &[Vulkan, Lavapipe]), line(Manager::Apt, &[Vulkan]));
    }

    #[test]
    fn only_apt_refreshes_its_lists() {
        let drivers = [Lavapipe, MesaEgl];
        assert_eq!(Manager::Apt.commands(&drivers), [vec!["apt-get", "update"], Manager::Apt.install(&drivers)]);
        assert_eq!(Manager::Dnf.commands(&drivers), [Manager::Dnf.install(&drivers)]);
        assert_eq!(Manager::Pacman.commands(&drivers), [Manager::Pacman.install(&drivers)]);
    }

    #[test]
    fn sudo_asks_only_where_somebody_can_answer() {
        let wrapped = |rights: Rights| rights.wrap(&["apt-get", "update"]).join(" ");
        assert_eq!(wrapped(Rights::Root), "apt-get update");
        assert_eq!(wrapped(Rights::Sudo), "sudo -n apt-get update");
        assert_eq!(wrapped(Rights::SudoAsks), "sudo apt-get update");
    }
}
