use clap::Args; use super::Outcome; #[derive(Debug,Args)] pub struct DemoArgs{} pub(super) fn run(_:&DemoArgs)->Outcome{ super::fail("x") }
