//! Calls of wgpu, with typed errors in place of its panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use wgpu::{BufferDescriptor, BufferUsages, DeviceLostReason, ErrorFilter, PollType};

use super::browser::IN_BROWSER;
use super::later::Later;
use crate::error::{Cause, Error, Result};

/// A device and its queue, whose calls give errors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CheckedDevice {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// Why the device is gone, once it is; of the app's device only the app is told.
    lost: Option<Arc<OnceLock<String>>>,
    later: Arc<Later>,
}

/// What wgpu raises over a call.
trait Raised: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend {}

impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> Raised for F {}

fn now<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

impl CheckedDevice {
    /// A device that this crate has opened.
    pub fn own(device: wgpu::Device, queue: wgpu::Queue) -> CheckedDevice {
        let lost = Arc::new(OnceLock::new());
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            let _ = told.set(match reason {
                DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
                DeviceLostReason::Unknown => message,
            });
        });
        CheckedDevice { device, queue, lost: Some(lost), later: Arc::default() }
    }

    /// A device of the app's.
    pub fn of_app(device: wgpu::Device, queue: wgpu::Queue) -> CheckedDevice {
        if IN_BROWSER {
            return CheckedDevice::own(device, queue);
        }
        CheckedDevice { device, queue, lost: None, later: Arc::default() }
    }

    /// Calls wgpu and returns the error that it would otherwise raise as a panic; `during` is what the caller does. In
    /// a browser errors come later: [`settled`](Self::settled) has them.
    pub fn call<T>(&self, during: &'static str, what: impl FnOnce(&wgpu::Device) -> T) -> Result<T> {
        self.call_as(during, |error| error, what)
    }

    /// As [`call`](Self::call), with the caller's own word for the error, whenever it comes.
    pub fn call_as<T>(
        &self,
        during: &'static str,
        word: impl FnOnce(Error) -> Error + wgpu::WasmNotSend + 'static,
        what: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T> {
        let (value, mut raised) = self.scoped(what);
        match now(raised.as_mut()) {
            Poll::Ready(None) => Ok(value),
            Poll::Ready(Some(error)) => Err(word(self.typed(error, during))),
            Poll::Pending => {
                let device = self.clone();
                self.later.add(Box::pin(async move { Some(word(device.typed(raised.await?, during))) }));
                Ok(value)
            }
        }
    }

    /// The first error of calls so far that has not been told.
    pub async fn settled(&self) -> Result<()> {
        self.later.settled().await
    }

    fn typed(&self, error: wgpu::Error, during: &'static str) -> Error {
        match typed_error(error, during) {
            memory @ Error::OutOfMemory { .. } => memory,
            // What was made of a device that is gone is refused in many words.
            refused => self.check_alive(during).err().unwrap_or(refused),
        }
    }

    fn scoped<T>(&self, what: impl FnOnce(&wgpu::Device) -> T) -> (T, Pin<Box<dyn Raised>>) {
        let filters = [ErrorFilter::Validation, ErrorFilter::Internal, ErrorFilter::OutOfMemory];
        // wgpu panics over a browser's internal errors; what uses the object that has one is refused by validation.
        let filters = filters.into_iter().filter(|filter| !(IN_BROWSER && *filter == ErrorFilter::Internal));
        let scopes: Vec<_> = filters.map(|filter| self.device.push_error_scope(filter)).collect();
        let value = what(&self.device);
        // Innermost first; being out of memory explains the others.
        let popped: Vec<_> = scopes.into_iter().rev().map(|scope| scope.pop()).collect();
        let raised = async {
            let mut first = None;
            for scope in popped {
                let error = scope.await;
                first = first.or(error);
            }
            first
        };
        (value, Box::pin(raised))
    }

    /// Fails once the device is gone. wgpu tells so late, by a callback that is the app's on the app's device, so it is
    /// tried: a lost device cannot map a new buffer. In a browser there may be many callbacks, and one was told.
    pub fn check_alive(&self, during: &'static str) -> Result<()> {
        if IN_BROWSER {
            let told = self.lost.as_ref().is_some_and(|lost| lost.get().is_some());
            return if told { Err(self.lost_error(during)) } else { Ok(()) };
        }
        let usage = BufferUsages::COPY_DST;
        let descriptor = BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: true };
        let (mapped, mut raised) =
            self.scoped(|device| device.create_buffer(&descriptor).get_mapped_range_mut(..).is_ok());
        match (mapped, now(raised.as_mut())) {
            // A device without memory is not gone: what needs some will say so.
            (true, _) | (_, Poll::Ready(Some(wgpu::Error::OutOfMemory { .. }))) => Ok(()),
            (false, Poll::Ready(Some(error))) => Err(typed_error(error, during)),
            (false, _) => Err(self.lost_error(during)),
        }
    }

    /// Why a mapping failed, when it did: the device is gone.
    pub fn lost_error(&self, during: &'static str) -> Error {
        // wgpu calls back when it is polled.
        self.wait();
        let reason = match &self.lost {
            Some(told) => told.get().map_or("its buffers cannot be mapped any more", String::as_str),
            None => "wgpu tells why to a callback of the app's, whose device it is",
        };
        Error::DeviceLost { during, reason: reason.to_owned() }
    }

    /// Waits for all that was submitted; says whether the device has done it. wgpu's poll panics where it learns by it
    /// that the device is gone. Browsers poll by themselves.
    pub fn wait(&self) -> bool {
        self.poll(PollType::wait_indefinitely())
    }

    /// The same for one submission and those before it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait_for(&self, submission: wgpu::SubmissionIndex) -> bool {
        self.poll(PollType::Wait { submission_index: Some(submission), timeout: None })
    }

    fn poll(&self, until: wgpu::PollType) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.device.poll(until))).is_ok_and(|polled| polled.is_ok())
    }

    /// A new encoder.
    pub fn encoder(&self, during: &'static str) -> Result<wgpu::CommandEncoder> {
        self.call(during, |device| device.create_command_encoder(&Default::default()))
    }

    /// Submits what is recorded, unless the device is gone.
    pub fn submit(&self, encoder: wgpu::CommandEncoder, during: &'static str) -> Result<()> {
        self.check_alive(during)?;
        self.call(during, |_| self.queue.submit([encoder.finish()])).map(drop)
    }
}

/// This crate's word for an error of wgpu's.
fn typed_error(error: wgpu::Error, during: &'static str) -> Error {
    let description = match &error {
        wgpu::Error::OutOfMemory { .. } => return Error::OutOfMemory { during, bytes: None },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => description,
    };
    // That it is the app's buffer, wgpu says in words only, and Chromium in others.
    let unusable = |line: &&str| {
        let words = [
            "has been destroyed",
            "is still mapped",
            "used in submit while destroyed.",
            "used in submit while mapped.",
        ];
        words.iter().any(|words| line.ends_with(words))
    };
    match description.lines().map(str::trim).find(unusable) {
        Some(reason) => Error::BufferUnusable { during, reason: reason.to_owned() },
        None => Error::Wgpu { during, source: cause(error) },
    }
}

fn cause(error: wgpu::Error) -> Cause {
    // A browser's errors stay on their thread.
    #[cfg(target_arch = "wasm32")]
    let error = error.to_string();
    Cause::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let during = "testing";
        let described =
            |text: &str| (text.into(), format!("Validation Error\n\nCaused by:\n  In a call\n    {text}\n"));
        let validation = |text| {
            let (source, description) = described(text);
            typed_error(wgpu::Error::Validation { source, description }, during)
        };
        let memory = typed_error(wgpu::Error::OutOfMemory { source: "no more".into() }, during);
        assert_eq!(memory, Error::OutOfMemory { during, bytes: None });
        for reason in ["Buffer with 'a' label has been destroyed", "Buffer with '' label is still mapped"] {
            assert_eq!(validation(reason), Error::BufferUnusable { during, reason: reason.into() });
        }
        let (source, description) = described("linking failed");
        let internal = typed_error(wgpu::Error::Internal { source, description: description.clone() }, during);
        assert_eq!(internal.to_string(), format!("wgpu, while testing: {description}"));
        let cause = std::error::Error::source(&internal).and_then(|cause| cause.downcast_ref());
        assert!(matches!(cause, Some(wgpu::Error::Internal { .. })), "{cause:?}");
        assert!(matches!(validation("wrong"), Error::Wgpu { source, .. } if source.to_string().contains("wrong")));
    }

    /// GL cannot translate this, which wgpu calls an internal error: its own handler panics.
    #[test]
    #[cfg(target_os = "linux")]
    fn internal_errors_are_caught() {
        let descriptor = wgpu::InstanceDescriptor {
            backends: wgpu::Backends::GL,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        };
        let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::GL));
        let (device, queue) = pollster::block_on(adapters[0].request_device(&Default::default())).unwrap();
        let source = "
            @group(0) @binding(0) var depth: texture_depth_2d;
            @group(0) @binding(1) var<storage, read_write> out: f32;
            @compute @workgroup_size(1) fn main() { out = textureLoad(depth, vec2(0), 0); }
        ";
        let compiled = CheckedDevice::own(device, queue).call("compiling", |device| {
            let source = wgpu::ShaderSource::Wgsl(source.into());
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source }),
                entry_point: None,
                compilation_options: Default::default(),
                cache: None,
            })
        });
        let Err(Error::Wgpu { during: "compiling", source }) = compiled else { panic!("{compiled:?}") };
        assert!(source.to_string().contains("depth textures"), "{source}");
    }
}
