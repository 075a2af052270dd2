"""The Streamlit app: `main.py` is the frame, the files beside it are the pages."""
