"""TimeSformer: a transformer over the patches of all frames, with Hugging Face's network inside.

Is Space-Time Attention All You Need for Video Understanding?; Bertasius, Wang, Torresani; 2021; arXiv
2102.05095. Differs from TimesformerForVideoClassification in what comes after the blocks: the feature is
given out beside the logits, and with attention in space alone the frames' class tokens are averaged before
the last norm, as in the authors' code; Hugging Face leaves one prediction for each frame.

Letters: B batch, C colours (channels in a feature), L frames of a clip, H, W pixels, N tokens, D channels of
a token, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.timesformer import TimesformerConfig as NetworkConfig
from transformers.models.timesformer import TimesformerModel

from talaria_models.backbones.pixels import check_clips
from talaria_models.backbones.settings import check_whole
from talaria_models.backbones.timesformer.config import TimeSformerConfig
from talaria_models.base import ClipOutput

INIT_STD = 0.02


class TimeSformer(nn.Module):
    """Patch embedding, blocks of attention and perceptron, the class token as summary, a linear head."""

    def __init__(
        self, config: TimeSformerConfig, num_classes: int, num_frames: int, height: int, width: int
    ) -> None:
        """Build and initialise the network for one size of clip.

        Args:
            config: the network's settings.
            num_classes: size of the logits.
            num_frames: frames of a clip; a multiple of `config.frame_step`.
            height: pixels; a multiple of `config.patch_size`.
            width: pixels; equal to `height`, as the published networks know square frames alone.

        Raises:
            ValueError: a clip that is not square or not a whole number of patches and steps.
        """
        super().__init__()
        check_whole("frame_step", config.frame_step, num_frames=num_frames)
        check_whole("patch_size", config.patch_size, height=height, width=width)
        if height != width:
            raise ValueError(f"TimeSformer needs square clips, got height {height} and width {width}")
        self.config = config
        self.clip_size = (num_frames, height, width)
        self.feature_dim = config.width
        self.network = TimesformerModel(network_config(config, num_frames // config.frame_step, height))
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(config.width, num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """Set every weight for training without an image model's weights to start from.

        | weights | value |
        |---|---|
        | patches, attention, perceptron, head | normal, deviation 0.02, cut at +-2; bias 0 |
        | projection after attention over time | 0, so that a block starts as one over space |
        | layer norm | weight 1, bias 0 |
        | class token, positions in space and in time | as the patches |

        Source: the authors' vit.py, but for positions in time, which start at 0 there: with the projection at
        0, too, nothing would tell frames apart for the first steps.
        """
        for name, module in self.named_modules():
            if name.endswith("temporal_dense"):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        for tensor in self.network.embeddings.parameters(recurse=False):
            nn.init.trunc_normal_(tensor, std=INIT_STD)

    def forward(self, clips_BCLHW: Tensor) -> ClipOutput:
        """Features and logits of normalised clips.

        Args:
            clips_BCLHW: (B, 3, L, H, W) of the size given to the constructor, normalised with the config's
                `pixel_mean` and `pixel_std`.

        Returns:
            features_BC: the normalised class token, what the head sees but for its dropout; logits_BK.

        Raises:
            ValueError: clips of another size.
        """
        check_clips(clips_BCLHW, *self.clip_size)
        step = self.config.frame_step
        seen_BLCHW = clips_BCLHW[:, :, step // 2 :: step].transpose(1, 2)
        tokens_BND = self.network.encoder(self.network.embeddings(seen_BLCHW)).last_hidden_state
        token_BD = tokens_BND[:, 0]
        if self.config.attention == "space_only":  # each frame went through the blocks by itself
            token_BD = token_BD.unflatten(0, seen_BLCHW.shape[:2]).mean(1)
        features_BC: Tensor = self.network.layernorm(token_BD)
        return ClipOutput(features_BC, self.head(self.dropout(features_BC)))


def network_config(config: TimeSformerConfig, num_frames: int, side: int) -> NetworkConfig:
    """Our settings in Hugging Face's words, for clips of `num_frames` frames of `side` x `side` pixels."""
    return NetworkConfig(
        image_size=side,
        patch_size=config.patch_size,
        num_frames=num_frames,
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=config.mlp_width,
        hidden_dropout_prob=config.dropout,
        attention_type=config.attention,
        layer_norm_eps=1e-6,
    )
