mod numbers;
mod torch;
mod shaders;
mod adapters;
mod compare;
mod forward;
