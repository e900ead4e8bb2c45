//! Stub, replaced.
use common::config::Regularization;
use dataset::TrainingRows;
pub struct PenalisedLikelihood<'a>(std::marker::PhantomData<&'a ()>);
impl<'a> PenalisedLikelihood<'a> {
    pub fn new(_: &'a dyn TrainingRows, _: Regularization) -> Self {
        unimplemented!()
    }
}
