package spec

import "hone/loop"

// readTask reads a task and its metrics.
func (d *document) readTask(n *node, field string) loop.Task {
	var task loop.Task
	o, ok := d.object(n, field, "name", "description", "metrics")
	if !ok {
		return task
	}
	o.need("name")
	o.text("name", &task.Name)
	o.text("description", &task.Description)
	for i, n := range o.some("metrics", loop.MaxMetrics) {
		var metric loop.Metric
		if m, ok := d.object(n, at(o.path("metrics"), i), "name", "unit", "better", "fail"); ok {
			m.need("name")
			m.text("name", &metric.Name)
			m.text("unit", &metric.Unit)
			m.need("better")
			choose(m, "better", "a direction", &metric.Better, loop.Higher, loop.Lower)
			if m.get("fail") != nil {
				metric.Fail = new(float64)
				m.number("fail", metric.Fail)
			}
		}
		task.Metrics = append(task.Metrics, metric)
	}
	return task
}
