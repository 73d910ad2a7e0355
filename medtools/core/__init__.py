"""What every stage needs: errors, parameters, manifests, provenance, atomic files, logging, seeds."""
