"""VideoMAE: a transformer over tubelets whose encoder learned to fill in masked ones; Hugging Face's network.

VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training; Tong, Song,
Wang, Wang; 2022; arXiv 2203.12602. This is the fine-tuned classifier, without the decoder; it differs from
VideoMAEForVideoClassification in giving out the feature beside the logits.

Letters: B batch, C colours (channels in a feature), L frames of a clip, H, W pixels, N tokens, D channels of
a token, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.videomae import VideoMAEConfig as NetworkConfig
from transformers.models.videomae import VideoMAEModel

from talaria_models.backbones.pixels import check_clips
from talaria_models.backbones.settings import check_whole
from talaria_models.backbones.videomae.config import VideoMAEConfig
from talaria_models.base import ClipOutput

INIT_STD = 0.02


class VideoMAE(nn.Module):
    """Tubelet embedding, fixed sinusoidal positions, blocks, the normalised mean, a linear head."""

    def __init__(
        self, config: VideoMAEConfig, num_classes: int, num_frames: int, height: int, width: int
    ) -> None:
        """Build and initialise the network for one size of clip.

        Args:
            config: the network's settings.
            num_classes: size of the logits.
            num_frames: frames of a clip; a multiple of `config.tubelet_frames`.
            height: pixels; a multiple of `config.patch_size`.
            width: pixels; a multiple of `config.patch_size`.

        Raises:
            ValueError: a clip that is not a whole number of tubelets.
        """
        super().__init__()
        check_whole("tubelet_frames", config.tubelet_frames, num_frames=num_frames)
        check_whole("patch_size", config.patch_size, height=height, width=width)
        self.config = config
        self.clip_size = (num_frames, height, width)
        self.feature_dim = config.width
        self.network = VideoMAEModel(network_config(config, *self.clip_size))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(config.width, num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight for training from scratch, as Hugging Face's initialiser does.

        | weights | value |
        |---|---|
        | tubelets, attention, perceptron, head | normal, deviation 0.02; bias 0 |
        | layer norm | weight 1, bias 0 |
        """
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv3d):
                nn.init.normal_(module.weight, std=INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    def forward(self, clips_BCLHW: Tensor) -> ClipOutput:
        """Features and logits of normalised clips.

        Args:
            clips_BCLHW: (B, 3, L, H, W) of the size given to the constructor, normalised with the config's
                `pixel_mean` and `pixel_std`.

        Returns:
            features_BC: the normalised mean of all tokens, what the head sees but for its dropout; logits_BK.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size)
        tokens_BND = self.network(clips_BCLHW.transpose(1, 2)).last_hidden_state
        features_BC: Tensor = self.norm(tokens_BND.mean(1))
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))


def network_config(config: VideoMAEConfig, num_frames: int, height: int, width: int) -> NetworkConfig:
    """Our settings in Hugging Face's words, for clips of this size."""
    return NetworkConfig(
        image_size=(height, width),
        patch_size=config.patch_size,
        num_frames=num_frames,
        tubelet_size=config.tubelet_frames,
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=config.mlp_width,
        hidden_dropout_prob=config.dropout,
        use_mean_pooling=True,
    )
