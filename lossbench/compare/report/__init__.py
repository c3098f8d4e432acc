"""What people read of a comparison: tables, verdict, figures, pages."""
