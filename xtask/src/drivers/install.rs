//! Which packages bring a driver.

use super::driver::{Driver, list};
use crate::packages::{self, Manager};

pub fn install(missing: &[Driver]) -> Result<(), String> {
    packages::install(&list(missing), |manager| of_all(manager, missing))
}

/// Each package once; none where one of the drivers has none.
fn of_all(manager: Manager, drivers: &[Driver]) -> Vec<&'static str> {
    let mut packages = vec![];
    for driver in drivers {
        let own = of(manager, *driver);
        if own.is_empty() {
            return vec![];
        }
        packages.extend(own.iter().filter(|package| !packages.contains(*package)).copied().collect::<Vec<_>>());
    }
    packages
}

fn of(manager: Manager, driver: Driver) -> &'static [&'static str] {
    match (manager, driver) {
        (Manager::Apt, Driver::Vulkan | Driver::Lavapipe | Driver::Radv) => &["mesa-vulkan-drivers", "libvulkan1"],
        (Manager::Apt, Driver::MesaEgl) => &["libegl1", "libegl-mesa0", "libgl1-mesa-dri"],
        (Manager::Dnf, Driver::Vulkan | Driver::Lavapipe | Driver::Radv) => &["mesa-vulkan-drivers", "vulkan-loader"],
        (Manager::Dnf, Driver::MesaEgl) => &["libglvnd-egl", "mesa-libEGL", "mesa-dri-drivers"],
        (Manager::Pacman, Driver::Vulkan | Driver::Lavapipe) => &["vulkan-swrast", "vulkan-icd-loader"],
        (Manager::Pacman, Driver::Radv) => &["vulkan-radeon", "vulkan-icd-loader"],
        (Manager::Pacman, Driver::MesaEgl) => &["libglvnd", "mesa"],
        (Manager::Apt, Driver::SwiftShader) => &["chromium", "libvulkan1"],
        (Manager::Dnf | Manager::Pacman, Driver::SwiftShader) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Driver::{Lavapipe, MesaEgl, SwiftShader, Vulkan};
    use Manager::{Apt, Dnf, Pacman};

    fn line(manager: Manager, drivers: &[Driver]) -> String {
        of_all(manager, drivers).join(" ")
    }

    #[test]
    fn each_manager_installs_the_drivers_by_its_own_names() {
        let all = [Lavapipe, MesaEgl];
        assert_eq!(line(Apt, &all), "mesa-vulkan-drivers libvulkan1 libegl1 libegl-mesa0 libgl1-mesa-dri");
        assert_eq!(line(Dnf, &all), "mesa-vulkan-drivers vulkan-loader libglvnd-egl mesa-libEGL mesa-dri-drivers");
        assert_eq!(line(Pacman, &all), "vulkan-swrast vulkan-icd-loader libglvnd mesa");
    }

    #[test]
    fn only_apt_has_swiftshader() {
        assert_eq!(line(Apt, &[SwiftShader]), "chromium libvulkan1");
        let has =
            |manager: Manager| [Vulkan, Lavapipe, MesaEgl, SwiftShader].map(|driver| !of(manager, driver).is_empty());
        assert_eq!(has(Apt), [true; 4]);
        assert_eq!([has(Dnf), has(Pacman)], [[true, true, true, false]; 2]);
        assert_eq!(line(Dnf, &[Vulkan, SwiftShader]), "");
    }

    #[test]
    fn only_what_is_missing_is_installed_and_once() {
        assert_eq!(line(Dnf, &[MesaEgl]), "libglvnd-egl mesa-libEGL mesa-dri-drivers");
        assert_eq!(line(Apt, &[Vulkan, Lavapipe]), line(Apt, &[Vulkan]));
    }
}
