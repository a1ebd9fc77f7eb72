"""From a scene to its slumps: options, the pipeline, one scene, several scenes."""
