package loop

func (s *Space) validateFeasible() error { return nil } // replaced below when acceptance is computed
