"""From what a person brings (a file, a drawing, a photo) to a control map the model can read. Knows no gradio."""
