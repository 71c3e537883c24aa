//! Whether systemd removes the rings of a user who logs out (`RemoveIPC=` in `logind.conf`).

use super::finding::{Finding, On};
use super::machine::Machine;
use std::collections::BTreeMap;

/// Where systemd looks, the first of which wins for files of the same name.
const PLACES: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];

/// The highest id of a system user, if `/etc/login.defs` says nothing.
const SYSTEM_USER_MAX: u32 = 999;

#[derive(Debug)]
pub(crate) struct Removal {
    /// Whether systemd is the first process.
    has_systemd: Result<bool, String>,
    user: Result<u32, String>,
    system_user_max: u32,
    /// The last setting, and the file that has it.
    setting: Result<Option<(bool, String)>, String>,
}

impl Removal {
    pub(crate) fn gather(machine: &Machine) -> Self {
        let defs = machine.read("/etc/login.defs").unwrap_or_default();
        let max = defs.lines().find_map(|line| line.trim().strip_prefix("SYS_UID_MAX")?.trim().parse().ok());
        Self {
            has_systemd: match machine.has("/run/systemd/system") {
                true => Ok(true),
                false => machine.read("/proc/1/comm").and_then(|name| match name.trim() {
                    "systemd" => {
                        Err("systemd runs, but /run/systemd is not there: it is that of another mount namespace".into())
                    }
                    _ => Ok(false),
                }),
            },
            user: machine.user(),
            system_user_max: max.unwrap_or(SYSTEM_USER_MAX),
            setting: setting(machine),
        }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        let check = "remove-ipc";
        match &self.has_systemd {
            Ok(true) => {}
            Ok(false) => return vec![Finding::ok(check, "systemd does not run here")],
            Err(why) => return vec![Finding::not_known(check, why)],
        }
        let (user, setting) = match (&self.user, &self.setting) {
            (Ok(user), Ok(setting)) => (*user, setting),
            (Err(why), _) | (_, Err(why)) => return vec![Finding::not_known(check, why)],
        };
        let found = match setting {
            Some((value, file)) => format!("RemoveIPC={} in {file}", if *value { "yes" } else { "no" }),
            None => "RemoveIPC is not set, which means yes".to_owned(),
        };
        if matches!(setting, Some((false, _))) {
            return vec![Finding::ok(check, found)];
        }
        if user <= self.system_user_max {
            return vec![Finding::ok(check, format!("{found}, but user {user} is a system user, whose files stay"))];
        }
        let means = format!(
            "when user {user} has logged out of the last session, systemd removes this user's files in /dev/shm: a \
                 ring in use loses its name, and no process can join it"
        );
        vec![
            Finding::warning(check, found, means)
                .fix(
                    On::Host,
                    "mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\\nRemoveIPC=no\\n' > \
                     /etc/systemd/logind.conf.d/rings.conf && systemctl restart systemd-logind",
                )
                .fix(On::Systemd, "User= with a system user (useradd --system engine)")
                .fix(On::Host, format!("loginctl enable-linger {user}"))
                .fix(On::Program, "rings with a path in a directory below /run"),
        ]
    }
}

/// What the main file and the files beside it say together: the last one wins.
fn setting(machine: &Machine) -> Result<Option<(bool, String)>, String> {
    let main = PLACES.iter().map(|place| format!("{place}/logind.conf")).find(|file| machine.has(file));
    let mut beside = BTreeMap::new();
    for place in PLACES {
        let directory = format!("{place}/logind.conf.d");
        for name in machine.names(&directory).into_iter().filter(|name| name.ends_with(".conf")) {
            let file = format!("{directory}/{name}");
            beside.entry(name).or_insert(file);
        }
    }
    let mut last = None;
    for file in main.into_iter().chain(beside.into_values()) {
        for line in machine.read(&file)?.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            if name.trim() == "RemoveIPC" {
                let value =
                    matches!(value.trim().to_lowercase().as_str(), "" | "1" | "yes" | "y" | "true" | "t" | "on");
                last = Some((value, file.clone()));
            }
        }
    }
    Ok(last)
}
