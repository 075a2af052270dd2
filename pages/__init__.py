"""The Streamlit app: `main.py` is the frame, each other file of this folder is a page."""
